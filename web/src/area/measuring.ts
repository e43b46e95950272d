/** How large an area is, before the service tells exactly. */

import area from "@turf/area";
import type { Area } from "../api/types";

const SQUARE_METRES = 1e6;

/** Return square kilometres on a sphere, within one percent of the ellipsoid's. */
export function km2Of(geometry: Area): number {
  return area(geometry) / SQUARE_METRES;
}

export type Fit = "small" | "fits" | "large";

export function fitOf(km2: number, limits: { min_km2: number; max_km2: number }): Fit {
  if (km2 < limits.min_km2) return "small";
  return km2 > limits.max_km2 ? "large" : "fits";
}
