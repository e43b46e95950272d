/** The fourth part of the form: buildings, parcels, reference data, units and outputs. */

import type { Model, Process } from "../api/types";
import { Faults, Labelled, tied } from "../parts/field";
import { texts } from "../texts";
import { outputsOf } from "./asking";
import { change, draft } from "./draft";
import { LayerField } from "./layerfield";

const UNITS = ["auto", "pixel", "scene", "parcel"];
const RESOLUTIONS = [10, 100];
export function DetailsPart({ process, model }: { process: Process | undefined; model: Model | undefined }) {
  const told = texts.details;
  return (
    <>
      <fieldset>
        <legend>{told.title}</legend>
        {model?.uses_buildings && draft.value.source !== "job" && (
          <LayerField
            name="buildings"
            label={told.buildings}
            help={told.buildingsHelp}
            at="/inputs/buildings"
            field={{ at: "/inputs/buildings/height_field", label: told.height, usual: ["height", "HEIGHT", "hoehe"] }}
          />
        )}
        <LayerField
          name="parcels"
          label={told.parcels}
          help={told.parcelsHelp}
          at="/inputs/parcels"
          field={{
            at: "/inputs/parcels/id_field",
            label: told.id,
            usual: ["parcel_id", "id", "ID"],
            none: told.idNone,
          }}
        />
        {!draft.value.parcels && (
          <LayerField name="streets" label={told.streets} help={told.streetsHelp} at="/inputs/parcels/streets" />
        )}
        <LayerField
          name="reference"
          label={told.reference}
          help={told.referenceHelp}
          at="/inputs/reference"
          field={{ at: "/inputs/reference/class_field", label: told.classField, usual: ["lcz", "class"] }}
        />
      </fieldset>
      <fieldset>
        <legend>{told.units}</legend>
        <Units cells={process?.inputs.resolution !== undefined} />
      </fieldset>
      <details>
        <summary>{told.outputs}</summary>
        {process && <Outputs process={process} />}
        <Labelled label={told.coverage} at="/inputs/min_coverage">
          <input
            type="number"
            min={0}
            max={100}
            value={draft.value.coverage}
            {...tied("/inputs/min_coverage")}
            onInput={(e) => change({ coverage: Number(e.currentTarget.value) })}
          />
        </Labelled>
      </details>
    </>
  );
}

function Units({ cells }: { cells: boolean }) {
  const { units, resolution, parcels, streets } = draft.value;
  const possible = UNITS.filter((name) => (cells || name !== "scene") && (parcels || streets || name !== "parcel"));
  return (
    <>
      <select
        aria-label={texts.details.units}
        value={units}
        {...tied("/inputs/units")}
        onChange={(e) => change({ units: e.currentTarget.value })}
      >
        {possible.map((name) => (
          <option key={name} value={name}>
            {texts.details.unitTexts[name]}
          </option>
        ))}
      </select>
      <Faults at="/inputs/units" />
      {cells && (
        <Labelled label={texts.details.resolution} at="/inputs/resolution">
          <select
            value={resolution}
            {...tied("/inputs/resolution")}
            onChange={(e) => change({ resolution: Number(e.currentTarget.value) })}
          >
            {RESOLUTIONS.map((metres) => (
              <option key={metres} value={metres}>
                {texts.details.resolutions[metres]}
              </option>
            ))}
          </select>
        </Labelled>
      )}
    </>
  );
}

function Outputs({ process }: { process: Process }) {
  const chosen = new Set(outputsOf(draft.value, process));
  const toggle = (name: string) => {
    chosen.has(name) ? chosen.delete(name) : chosen.add(name);
    change({ outputs: [...chosen] });
  };
  return (
    <div class="field">
      {Object.entries(process.outputs).map(([name, output]) => (
        <label key={name} class="choice">
          <input type="checkbox" checked={chosen.has(name)} onChange={() => toggle(name)} />
          <span>
            {output.title} <small>{texts.downloads.about[name]}</small>
          </span>
        </label>
      ))}
      <Faults at="/inputs/outputs" />
    </div>
  );
}
