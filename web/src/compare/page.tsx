/** Two finished maps side by side: a divider between them, and their classes in one table. */

import { useEffect, useState } from "preact/hooks";
import { ask, isAbort } from "../api/client";
import { type Problem, problemOf } from "../api/problem";
import type { Legend, LegendEntry, StatusInfo } from "../api/types";
import { percent, when } from "../format";
import { useTiles } from "../job/fresh";
import { PaletteChoice, Swatch } from "../job/legend";
import { PointPart } from "../job/point";
import { SHOWN, useLegend } from "../job/result";
import { SwipeSlider } from "../job/swiping";
import { palette } from "../palette";
import { ProblemBox } from "../parts/problem";
import { useTitle } from "../parts/title";
import { goTo, hashOf } from "../route";
import { processes } from "../settings";
import { stage } from "../stagehand";
import { texts } from "../texts";

export function ComparePage({ jobs: [left, right] }: { jobs: [string, string] }) {
  useTitle(texts.compare.title);
  const leftTiles = useTiles(left, "map", palette.value);
  const rightTiles = useTiles(right, "map", palette.value);
  const { found, problem } = useStatuses(left, right);
  const legends = [useLegend(left, "map"), useLegend(right, "map")] as const;
  useEffect(() => {
    if (rightTiles.value) void stage.value?.showTiles(SHOWN, rightTiles.value);
  }, [rightTiles.value, stage.value]);
  useEffect(() => {
    if (rightTiles.value) stage.value?.fit(rightTiles.value.bounds);
  }, [rightTiles.value === null, stage.value]);
  useEffect(() => () => void stage.value?.dropTiles(SHOWN), [stage.value]);
  const wrong = problem ?? leftTiles.problem ?? rightTiles.problem;
  const names = [left, right].map((job, k) => nameOf(found?.[k]) || job);
  return (
    <>
      <h1>{texts.compare.title}</h1>
      {wrong && <ProblemBox problem={wrong} />}
      <dl class="facts">
        {[left, right].map((job, k) => (
          <>
            <dt>{k ? texts.compare.right : texts.compare.left}</dt>
            <dd>
              <a href={hashOf({ page: "job", job })}>{names[k]}</a>
            </dd>
          </>
        ))}
      </dl>
      <SwipeSlider tiles={leftTiles.value} smooth={false} />
      {found && found[0]?.processID !== found[1]?.processID && <p class="note">{texts.compare.differentProducts}</p>}
      {legends[0] && legends[1] && <Differences left={legends[0]} right={legends[1]} />}
      <div class="row">
        <PaletteChoice />
        <button type="button" onClick={() => goTo({ page: "compare", jobs: [right, left] })}>
          {texts.compare.swap}
        </button>
      </div>
      <PointPart jobs={[left, right]} names={names} />
    </>
  );
}

function Differences({ left, right }: { left: Legend; right: Legend }) {
  const share = (entries: LegendEntry[], one: LegendEntry) =>
    entries.find((other) => other.code === one.code && other.name === one.name)?.share ?? 0;
  const names = new Map([...left.entries, ...right.entries].map((one) => [`${one.code} ${one.name}`, one]));
  const rows = [...names.values()]
    .map((one) => ({ one, a: share(left.entries, one), b: share(right.entries, one) }))
    .filter((row) => row.a + row.b > 0);
  return (
    <table class="legend">
      <thead>
        <tr>
          <th>{texts.legend.class}</th>
          <th>{texts.compare.left}</th>
          <th>{texts.compare.right}</th>
          <th>{texts.compare.difference}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ one, a, b }) => (
          <tr key={`${one.code} ${one.name}`}>
            <th scope="row">
              <Swatch colour={one.colour} />
              <b>{one.label}</b> {one.name !== one.label && one.name}
            </th>
            <td class="number">{percent(a, 1)}</td>
            <td class="number">{percent(b, 1)}</td>
            <td class="number">{signed(b - a)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A difference with its sign; one too small to be seen has none. */
function signed(share: number): string {
  const rounded = Math.round(1000 * share) / 1000;
  return `${rounded > 0 ? "+" : ""}${percent(rounded || 0, 1)}`;
}

function nameOf(status: StatusInfo | undefined): string {
  if (!status) return "";
  const product = processes.value[status.processID]?.title ?? status.processID;
  return `${status.title ?? product}, ${when(status.created)}`;
}

function useStatuses(left: string, right: string): { found: StatusInfo[] | null; problem: Problem | null } {
  const [found, setFound] = useState<StatusInfo[] | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    const one = (job: string) => ask<StatusInfo>(`jobs/${job}`, { signal: stop.signal });
    Promise.all([one(left), one(right)]).then(setFound, (error: unknown) => {
      if (!isAbort(error)) setProblem(problemOf(error));
    });
    return () => stop.abort();
  }, [left, right]);
  return { found, problem };
}
