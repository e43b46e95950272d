/** Documents with signed links in them, asked for again before those links end. */

import { useEffect, useState } from "preact/hooks";
import { ask, isAbort } from "../api/client";
import { type Problem, problemOf } from "../api/problem";
import type { Results, TileJson } from "../api/types";
import { colours, type Palette } from "../palette";
import { stage } from "../stagehand";

const EARLY_SECONDS = 60;
const CALM_MILLISECONDS = 5000;
const LONGEST_SECONDS = 6 * 3600; // timers of browsers do not take more than some weeks
const REFUSED = 403;

export interface Fresh<T> {
  value: T | null;
  problem: Problem | null;
  /** Ask for it now, and return it. */
  again: () => Promise<T | null>;
}

/** Keep a document at hand whose links end at `ends` (seconds since 1970); `path` null keeps none. */
export function useFresh<T>(path: string | null, ends: (value: T) => number): Fresh<T> {
  const [value, setValue] = useState<T | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const load = async (signal?: AbortSignal): Promise<T | null> => {
    if (path === null) return null;
    try {
      const found = await ask<T>(path, signal ? { signal } : {});
      setValue(found);
      setProblem(null);
      return found;
    } catch (error) {
      if (!isAbort(error)) setProblem(problemOf(error));
      return null;
    }
  };
  useEffect(() => {
    const stop = new AbortController();
    setValue(null);
    void load(stop.signal);
    return () => stop.abort();
  }, [path]);
  useEffect(() => {
    if (value === null) return;
    const left = ends(value) - Date.now() / 1000;
    const wait = Math.min(Math.max(left - EARLY_SECONDS, left / 2, 1), LONGEST_SECONDS);
    const timer = setTimeout(() => void load(), wait * 1000);
    const awake = () => document.visibilityState === "visible" && ends(value) <= Date.now() / 1000 && void load();
    document.addEventListener("visibilitychange", awake); // a machine that slept has missed its timer
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", awake);
    };
  }, [value]);
  return { value, problem, again: load };
}

/** A refused tile brings a fresh address at once: this machine's clock may be wrong about when the last one ended. */
export function useTiles(job: string, layer: string, palette: Palette): Fresh<TileJson> {
  const tiles = useFresh<TileJson>(`jobs/${job}/tiles?layer=${layer}${colours(palette)}`, endOfTiles);
  useEffect(() => {
    const map = stage.value?.map;
    const since = performance.now();
    let asked = false;
    const failed = (event: { error?: unknown }) => {
      const status = (event.error as { status?: number } | undefined)?.status;
      if (status !== REFUSED || asked || performance.now() - since < CALM_MILLISECONDS) return;
      asked = true;
      void tiles.again();
    };
    map?.on("error", failed);
    return () => void map?.off("error", failed);
  }, [stage.value, tiles.value]);
  return tiles;
}

export function useResults(job: string): Fresh<Results> {
  return useFresh<Results>(`jobs/${job}/results`, endOfResults);
}

/** The signature of a template says in its query when it ends. */
export function endOfTiles(tiles: TileJson): number {
  const query = tiles.tiles[0].split("?")[1] ?? "";
  return Number(new URLSearchParams(query).get("expires")) || Infinity;
}

export function endOfResults(results: Results): number {
  return Math.min(...Object.values(results).map((link) => Date.parse(link.expires) / 1000));
}
