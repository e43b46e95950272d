/** A vector file with the layer and the field of it that matter. */

import type { Upload } from "../api/types";
import { Labelled, tied } from "../parts/field";
import { FileField } from "../parts/filefield";
import { texts } from "../texts";
import { change, type Draft, draft, type Layer } from "./draft";
import type { Field } from "./faults";

const VECTORS = ".geojson,.json,.gpkg,.parquet";

type LayerName = { [Name in keyof Draft]: Draft[Name] extends Layer | null ? Name : never }[keyof Draft];

interface LayerFieldProps {
  name: LayerName;
  label: string;
  help: string;
  at: Field;
  /** The field of the file that is asked for; `usual` names are taken where the file has them. */
  field?: { at: Field; label: string; usual: string[]; none?: string };
}

export function LayerField({ name, label, help, at, field }: LayerFieldProps) {
  const layer = draft.value[name];
  const put = (told: Layer | null) => change({ [name]: told });
  const take = (upload: Upload) => {
    const fields = upload.facts.fields ?? [];
    const found = field?.usual.find((usual) => fields.includes(usual)) ?? "";
    put({ upload, layer: upload.facts.layers?.[0]?.name ?? "", field: found });
  };
  return (
    <>
      <FileField
        label={label}
        help={help}
        at={at}
        accept={VECTORS}
        uploads={layer ? [layer.upload] : []}
        sent={take}
        removed={() => put(null)}
      />
      {layer && (layer.upload.facts.layers?.length ?? 0) > 1 && (
        <Labelled label={texts.details.layer}>
          <select value={layer.layer} onChange={(e) => put({ ...layer, layer: e.currentTarget.value })}>
            {layer.upload.facts.layers?.map((one) => (
              <option key={one.name}>{one.name}</option>
            ))}
          </select>
        </Labelled>
      )}
      {layer && field && (
        <Labelled label={field.label} at={field.at}>
          <select
            value={layer.field}
            {...tied(field.at)}
            onChange={(e) => put({ ...layer, field: e.currentTarget.value })}
          >
            <option value="">{field.none ?? texts.point.none}</option>
            {layer.upload.facts.fields?.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </Labelled>
      )}
    </>
  );
}
