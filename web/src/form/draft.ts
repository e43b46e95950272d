/** What a person has chosen so far for a new map; kept in this tab, so that a reload loses nothing. */

import { effect, signal } from "@preact/signals";
import type { Area, Upload } from "../api/types";

const KEPT = "cityzones-draft";

export interface Layer {
  upload: Upload;
  layer: string;
  field: string;
}

export interface Draft {
  product: string;
  model: string;
  area: Area | null;
  source: "catalogue" | "own" | "job";
  from: string;
  to: string;
  cloud: number;
  collection: string;
  catalogue: string;
  images: Upload[];
  bands: string;
  job: string;
  buildings: Layer | null;
  parcels: Layer | null;
  streets: Layer | null;
  reference: Layer | null;
  units: string;
  resolution: number;
  coverage: number;
  outputs: string[];
  title: string;
}

const EMPTY: Draft = {
  product: "local-climate-zones",
  model: "",
  area: null,
  source: "catalogue",
  from: "",
  to: "",
  cloud: 20,
  collection: "sentinel-2-l2a",
  catalogue: "",
  images: [],
  bands: "",
  job: "",
  buildings: null,
  parcels: null,
  streets: null,
  reference: null,
  units: "auto",
  resolution: 10,
  coverage: 0,
  outputs: [],
  title: "",
};

export const draft = signal<Draft>(kept());

export function change(part: Partial<Draft>): void {
  draft.value = { ...draft.value, ...part };
}

export function clear(): void {
  draft.value = { ...EMPTY, ...summer(new Date()) };
}

effect(() => {
  sessionStorage.setItem(KEPT, JSON.stringify(draft.value));
});

function kept(): Draft {
  const fresh = { ...EMPTY, ...summer(new Date()) };
  try {
    return { ...fresh, ...(JSON.parse(sessionStorage.getItem(KEPT) ?? "{}") as Partial<Draft>) };
  } catch {
    return fresh;
  }
}

/** The last whole summer of the northern half of the Earth: vegetation stands, clouds are few. */
export function summer(today: Date): { from: string; to: string } {
  const year = today.getMonth() >= 9 ? today.getFullYear() : today.getFullYear() - 1;
  return { from: `${year}-05-01`, to: `${year}-09-30` };
}

/** Say what still stands in the way of an estimate, by the field it belongs to; nothing where it is complete. */
export type Missing = "area" | "dates" | "order" | "images";

export function missing(told: Draft): Missing[] {
  if (told.source === "job") return [];
  if (told.source === "own") return told.images.length ? [] : ["images"];
  const dates: Missing[] = !told.from || !told.to ? ["dates"] : told.from > told.to ? ["order"] : [];
  return told.area ? dates : ["area", ...dates];
}
