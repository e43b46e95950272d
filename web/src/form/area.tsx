/** The first part of the form: an area drawn, pasted, dropped, or taken from what the map shows. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "../api/client";
import { problemOf } from "../api/problem";
import type { Area, Model, Upload, UploadArea } from "../api/types";
import { fitOf, km2Of } from "../area/measuring";
import { parseArea, rectangle } from "../area/parsing";
import { km2, number } from "../format";
import type { Shape } from "../map/drawing";
import { FileField } from "../parts/filefield";
import { stage } from "../stagehand";
import { texts } from "../texts";
import { change, draft } from "./draft";

export function AreaPart({ model }: { model: Model | undefined }) {
  const { area, source } = draft.value;
  const [told, setTold] = useState("");
  useEffect(() => {
    void stage.value?.showArea(source === "job" ? null : area);
  }, [area, source, stage.value]);
  const take = (taken: Area, zoom: boolean) => {
    setTold("");
    change({ area: taken });
    if (zoom) stage.value?.fitArea(taken);
  };
  if (source === "job") return <p>{texts.area.fromJob}</p>;
  return (
    <fieldset>
      <legend>{texts.area.title}</legend>
      <p class="help">{texts.area.help}</p>
      <Tools take={take} tell={setTold} />
      <AreaFile take={take} tell={setTold} />
      <Paste take={take} />
      {told && <p class="note">{told}</p>}
      <Size model={model} />
    </fieldset>
  );
}

interface TakeProps {
  take: (area: Area, zoom: boolean) => void;
  tell: (text: string) => void;
}

function Tools({ take, tell }: TakeProps) {
  const [shape, setShape] = useState<Shape | null>(null);
  const stop = useRef<(() => void) | null>(null);
  const end = () => {
    stop.current?.();
    stop.current = null;
    setShape(null);
    tell("");
  };
  useEffect(() => end, []);
  const begin = async (wanted: Shape) => {
    end();
    const { draw } = await import("../map/drawing");
    if (!stage.value) return;
    const pencil = draw(stage.value, wanted, (drawn) => {
      end();
      take(drawn, false);
    });
    const cancel = (event: KeyboardEvent) => event.key === "Escape" && end();
    addEventListener("keydown", cancel, true);
    stop.current = () => {
      pencil();
      removeEventListener("keydown", cancel, true);
    };
    setShape(wanted);
    tell(wanted === "polygon" ? texts.area.drawingPolygon : texts.area.drawingRectangle);
  };
  const shapes: [Shape, string][] = [
    ["rectangle", texts.area.rectangle],
    ["polygon", texts.area.polygon],
  ];
  return (
    <div class="row">
      {shapes.map(([name, label]) => (
        <button
          key={name}
          type="button"
          aria-pressed={shape === name}
          disabled={!stage.value}
          onClick={() => (shape === name ? end() : void begin(name))}
        >
          {shape === name ? texts.area.stop : label}
        </button>
      ))}
      <button
        type="button"
        disabled={!stage.value}
        onClick={() => stage.value && take(rectangle(stage.value.bounds), false)}
      >
        {texts.area.view}
      </button>
    </div>
  );
}

/** A file goes to the service, which knows every format and coordinate system, and comes back as an area. */
function AreaFile({ take, tell }: TakeProps) {
  const [layers, setLayers] = useState<{ upload: Upload; names: string[] } | null>(null);
  const [fault, setFault] = useState("");
  const read = async (upload: Upload, layer = "") => {
    setFault("");
    setLayers(null);
    try {
      const query = layer ? `?layer=${encodeURIComponent(layer)}` : "";
      const found = await ask<UploadArea>(`uploads/${upload.upload}/area${query}`);
      take(found.geometry, true);
      const simplified = found.simplified_m ? [texts.area.simplified(number(found.simplified_m, 1))] : [];
      tell([...simplified, ...found.warnings.map((warned) => warned.detail)].join(" "));
    } catch (error) {
      const problem = problemOf(error);
      const names = (upload.facts.layers ?? []).map((one) => one.name);
      if (names.length > 1 && problem.errors.some((one) => one.pointer === "layer")) setLayers({ upload, names });
      else setFault(problem.message);
    }
  };
  return (
    <>
      <FileField
        label={texts.area.file}
        at="/inputs/aoi"
        accept=".geojson,.json,.gpkg,.parquet"
        zone=".map"
        uploads={[]}
        sent={(upload) => void read(upload)}
        removed={() => undefined}
      />
      {layers && (
        <label class="field">
          <span class="label">{texts.area.layers}</span>
          <select onChange={(event) => void read(layers.upload, event.currentTarget.value)}>
            <option value="">{texts.point.none}</option>
            {layers.names.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      )}
      {fault && (
        <div class="fault" role="alert">
          <p>{fault}</p>
        </div>
      )}
    </>
  );
}

function Paste({ take }: { take: TakeProps["take"] }) {
  const [text, setText] = useState("");
  const [fault, setFault] = useState("");
  const use = () => {
    try {
      take(parseArea(text), true);
      setFault("");
      setText("");
    } catch (error) {
      setFault(problemOf(error).message);
    }
  };
  return (
    <details>
      <summary>{texts.area.paste}</summary>
      <label class="field">
        <span class="label">{texts.area.pasteLabel}</span>
        <textarea
          rows={4}
          spellcheck={false}
          value={text}
          aria-invalid={fault !== ""}
          aria-describedby={fault ? "paste-fault" : undefined}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      {fault && (
        <div class="fault" id="paste-fault" role="alert">
          <p>{fault}</p>
        </div>
      )}
      <button type="button" onClick={use}>
        {texts.area.pasteGo}
      </button>
    </details>
  );
}

function Size({ model }: { model: Model | undefined }) {
  const { area, source } = draft.value;
  if (!area) return <p class="note">{source === "own" ? texts.area.optional : texts.area.none}</p>;
  const size = km2Of(area);
  const limits = model?.limits ?? { min_km2: 0, max_km2: Infinity };
  const told = fitOf(size, limits);
  return (
    <>
      <p class={told === "fits" ? "size" : "size bad"} role="status">
        <b>{texts.area.about(km2(size))}</b>{" "}
        {told === "fits" && model && texts.area.allowed(km2(limits.min_km2), km2(limits.max_km2))}
        {told === "small" && texts.area.small(km2(limits.min_km2))}
        {told === "large" && texts.area.large(km2(limits.max_km2))}
      </p>
      <div class="row">
        <button type="button" onClick={() => stage.value?.fitArea(area)} disabled={!stage.value}>
          {texts.area.zoom}
        </button>
        <button type="button" onClick={() => change({ area: null })}>
          {texts.area.remove}
        </button>
      </div>
    </>
  );
}
