/** A finished map: its layers, its classes and their areas, what a click tells, and how to take it home. */

import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/client";
import type { JobRequest, Legend, StatusInfo } from "../api/types";
import { colours, palette } from "../palette";
import { ProblemBox } from "../parts/problem";
import { stage } from "../stagehand";
import { texts } from "../texts";
import { CodePart } from "./code";
import { DownloadsPart } from "./downloads";
import { useResults, useTiles } from "./fresh";
import { LayersPart, OpacitySlider } from "./layers";
import { LegendPart } from "./legend";
import { PointPart } from "./point";

export const SHOWN = "result";
const FIRST_OPACITY = 85;

export function ResultPart({ status, request }: { status: StatusInfo; request: JobRequest | null }) {
  const job = status.jobID;
  const [layer, setLayer] = useState("map");
  const [opacity, setOpacity] = useState(FIRST_OPACITY);
  const tiles = useTiles(job, layer, palette.value);
  const results = useResults(job);
  const legend = useLegend(job, layer);
  useEffect(() => {
    if (!tiles.value) return;
    void stage.value?.showTiles(SHOWN, tiles.value, layer === "image");
    void stage.value?.setOpacity(SHOWN, opacity / 100);
  }, [tiles.value, opacity, stage.value]);
  useEffect(() => {
    if (!request?.execute.inputs.aoi && tiles.value) stage.value?.fit(tiles.value.bounds);
  }, [tiles.value === null, stage.value]);
  useEffect(() => () => void stage.value?.dropTiles(SHOWN), [stage.value]);
  if (tiles.problem) return <ProblemBox problem={tiles.problem} retry={() => void tiles.again()} />;
  return (
    <>
      <LayersPart job={job} layer={layer} choose={setLayer} layers={Object.keys(results.value ?? {})}>
        <OpacitySlider opacity={opacity} set={setOpacity} />
      </LayersPart>
      {legend && <LegendPart legend={legend} />}
      <PointPart jobs={[job]} names={[texts.point.title]} />
      {results.value && <DownloadsPart results={results.value} again={results.again} />}
      {results.problem && <ProblemBox problem={results.problem} retry={() => void results.again()} />}
      {tiles.value && request && <CodePart request={request} tiles={tiles.value} />}
    </>
  );
}

/** The legend of a layer in the chosen colours; imagery has none. */
export function useLegend(job: string, layer: string): Legend | null {
  const [legend, setLegend] = useState<Legend | null>(null);
  const chosen = palette.value;
  useEffect(() => {
    const stop = new AbortController();
    if (layer === "image") setLegend(null);
    else {
      const path = `jobs/${job}/legend?layer=${layer}${colours(chosen)}`;
      ask<Legend>(path, { signal: stop.signal }).then(setLegend, () => undefined);
    }
    return () => stop.abort();
  }, [job, layer, chosen]);
  return legend;
}
