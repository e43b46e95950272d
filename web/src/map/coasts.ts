/** Coasts and borders for finding one's way where there is no base map: Natural Earth 1:110 million, public domain. */

import type { MultiLineString } from "geojson";
import { mesh } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import atlas from "world-atlas/countries-110m.json";

/** Beyond this zoom they are so coarse that they would mislead. */
export const COASTS_UNTIL = 7;

export function coasts(): MultiLineString {
  const topology = atlas as unknown as Topology<{ countries: GeometryCollection }>;
  return mesh(topology, topology.objects.countries);
}
