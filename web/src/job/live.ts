/** Follows a job, and paints its blocks onto the map as they are finished. */

import { useEffect, useState } from "preact/hooks";
import { ask, isAbort } from "../api/client";
import { follow, hasEnded } from "../api/events";
import { type Problem, problemOf } from "../api/problem";
import type { Blocks, StatusInfo } from "../api/types";
import { Draft } from "../map/draft";
import { stage } from "../stagehand";

export interface Live {
  status: StatusInfo | null;
  problem: Problem | null;
  away: boolean;
  set: (status: StatusInfo) => void;
}

/** Return how a job stands, and go on doing so until it has ended. */
export function useLive(job: string): Live {
  const [status, set] = useState<StatusInfo | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [away, setAway] = useState(false);
  useEffect(() => {
    const stop = new AbortController();
    set(null);
    setProblem(null);
    const run = async () => {
      const first = await ask<StatusInfo>(`jobs/${job}`, { signal: stop.signal });
      set(first);
      if (!hasEnded(first)) await follow(job, set, setAway, stop.signal);
    };
    run().catch((error: unknown) => {
      if (!isAbort(error)) setProblem(problemOf(error));
    });
    return () => stop.abort();
  }, [job]);
  return { status, problem, away, set };
}

/** Show the draft of a running job; it goes when the job ends or the page does. */
export function useDraft(job: string, status: StatusInfo | null): void {
  const [draft, setDraft] = useState<Draft | null>(null);
  const running = status?.status === "running";
  const done = status?.blocks.done ?? 0;
  useEffect(() => {
    const shown = stage.value;
    if (!running || !shown) return;
    const stop = new AbortController();
    const paint = async () => {
      const told = await ask<Blocks>(`jobs/${job}/blocks`, { signal: stop.signal });
      if (!told.grid) return;
      let painting = draft;
      if (!painting) {
        painting = new Draft(told.grid);
        await shown.showDraft(painting.canvas, told.grid.corners);
        setDraft(painting);
      }
      await painting.paint(told, stop.signal, () => shown.redraft());
    };
    paint().catch(() => undefined); // a draft that cannot be seen is none: the job itself goes on
    return () => stop.abort();
  }, [job, running, done, stage.value]);
  useEffect(() => {
    return () => {
      setDraft(null);
      void stage.value?.dropDraft();
    };
  }, [job, running]);
}
