/** Sorts what the service found wrong with a request to the fields of the form that it names. */

import { signal } from "@preact/signals";
import type { Fault, Problem } from "../api/problem";

/** The fields of the form by JSON Pointer; a fault belongs to the longest one that its own begins with. */
export const FIELDS = [
  "/inputs/title",
  "/inputs/aoi",
  "/inputs/model",
  "/inputs/imagery",
  "/inputs/imagery/stac/datetime",
  "/inputs/imagery/stac/max_cloud_cover",
  "/inputs/imagery/stac/collection",
  "/inputs/imagery/stac/catalogue",
  "/inputs/imagery/uploads",
  "/inputs/imagery/bands",
  "/inputs/buildings",
  "/inputs/buildings/height_field",
  "/inputs/parcels",
  "/inputs/parcels/id_field",
  "/inputs/parcels/streets",
  "/inputs/reference",
  "/inputs/reference/class_field",
  "/inputs/units",
  "/inputs/resolution",
  "/inputs/min_coverage",
  "/inputs/outputs",
] as const;

export type Field = (typeof FIELDS)[number];

/** The problem of the last estimate or start, null while there is none. */
export const refused = signal<Problem | null>(null);

export function fieldOf(fault: Fault): Field | null {
  const owners = FIELDS.filter((field) => fault.pointer === field || fault.pointer.startsWith(`${field}/`));
  return owners.sort((a, b) => b.length - a.length)[0] ?? null;
}

export function faultsOf(field: Field, problem: Problem | null): Fault[] {
  return problem?.errors.filter((fault) => fieldOf(fault) === field) ?? [];
}

/** Say whether every fault of a problem stands beside a field, so that it need not be told once more. */
export function isPlaced(problem: Problem): boolean {
  return problem.errors.length > 0 && problem.errors.every((fault) => fieldOf(fault) !== null);
}
