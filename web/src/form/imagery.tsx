/** The third part of the form: where the image comes from. */

import { Faults, Labelled, tied } from "../parts/field";
import { FileField } from "../parts/filefield";
import { texts } from "../texts";
import { change, draft, missing } from "./draft";

const SOURCES = ["catalogue", "own"] as const;

export function ImageryPart() {
  const { source } = draft.value;
  if (source === "job") {
    return (
      <button type="button" onClick={() => change({ source: "catalogue", job: "" })}>
        {texts.imagery.other}
      </button>
    );
  }
  const lacks = missing(draft.value);
  return (
    <fieldset>
      <legend>{texts.imagery.title}</legend>
      <div class="row">
        {SOURCES.map((name) => (
          <label key={name} class="choice">
            <input type="radio" name="source" checked={source === name} onChange={() => change({ source: name })} />
            {texts.imagery[name]}
          </label>
        ))}
      </div>
      {source === "catalogue" ? <Catalogue /> : <Images />}
      {lacks.includes("dates") && <p class="note">{texts.imagery.datesMissing}</p>}
      {lacks.includes("order") && <p class="fault">{texts.imagery.datesOrder}</p>}
      <Faults at="/inputs/imagery" />
    </fieldset>
  );
}

function Catalogue() {
  const { from, to, cloud, collection, catalogue } = draft.value;
  const dates = tied("/inputs/imagery/stac/datetime");
  return (
    <>
      <div class="pair">
        <Labelled label={texts.imagery.from}>
          <input type="date" value={from} {...dates} onInput={(e) => change({ from: e.currentTarget.value })} />
        </Labelled>
        <Labelled label={texts.imagery.to}>
          <input type="date" value={to} {...dates} onInput={(e) => change({ to: e.currentTarget.value })} />
        </Labelled>
      </div>
      <p class="help">{texts.imagery.dates}</p>
      <Faults at="/inputs/imagery/stac/datetime" />
      <details>
        <summary>{texts.imagery.more}</summary>
        <Labelled label={texts.imagery.cloud} at="/inputs/imagery/stac/max_cloud_cover">
          <input
            type="number"
            min={0}
            max={100}
            value={cloud}
            {...tied("/inputs/imagery/stac/max_cloud_cover")}
            onInput={(e) => change({ cloud: Number(e.currentTarget.value) })}
          />
        </Labelled>
        <Labelled label={texts.imagery.collection} at="/inputs/imagery/stac/collection">
          <input
            value={collection}
            spellcheck={false}
            {...tied("/inputs/imagery/stac/collection")}
            onInput={(e) => change({ collection: e.currentTarget.value.trim() })}
          />
        </Labelled>
        <Labelled label={texts.imagery.catalogueUrl} at="/inputs/imagery/stac/catalogue">
          <input
            type="url"
            placeholder={texts.imagery.catalogueDefault}
            value={catalogue}
            {...tied("/inputs/imagery/stac/catalogue")}
            onInput={(e) => change({ catalogue: e.currentTarget.value.trim() })}
          />
        </Labelled>
      </details>
    </>
  );
}

function Images() {
  const { images, bands } = draft.value;
  return (
    <>
      <FileField
        label={texts.imagery.own}
        help={texts.imagery.drop}
        at="/inputs/imagery/uploads"
        accept=".tif,.tiff,.jp2"
        several
        uploads={images}
        sent={(upload) => change({ images: [...draft.value.images, upload] })}
        removed={(upload) => change({ images: draft.value.images.filter((one) => one !== upload) })}
      />
      <Labelled label={texts.imagery.bands} help={texts.imagery.bandsHelp} at="/inputs/imagery/bands">
        <input
          value={bands}
          spellcheck={false}
          {...tied("/inputs/imagery/bands")}
          onInput={(e) => change({ bands: e.currentTarget.value })}
        />
      </Labelled>
    </>
  );
}
