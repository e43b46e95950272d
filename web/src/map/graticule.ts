/** The lines of longitude and latitude of a view: what a map is drawn over where there is no base map. */

import type { Feature, FeatureCollection, LineString, Point } from "geojson";
import type { Bounds } from "../area/parsing";
import { texts } from "../texts";

const STEPS = [30, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const LINES = 6; // about so many across the view
const MOST_TIMES_TALLER = 10; // a view that is narrower still, as before the page is laid out, gets no finer lines

/** Where labels stand, as a share of the view from its lower left corner. */
const LABEL_AT = 0.02;

/**
 * Return the lines a view (west, south, east, north in degrees) is divided by, and a point with the `label` of each,
 * `side` telling whether it belongs to a meridian ("foot") or a parallel ("left").
 */
export function graticule([west, south, east, north]: Bounds): FeatureCollection<LineString | Point> {
  const low = Math.max(-85, south);
  const high = Math.min(85, north);
  if (east <= west || high <= low) return { type: "FeatureCollection", features: [] };
  const wanted = Math.max(east - west, (high - low) / MOST_TIMES_TALLER) / LINES;
  const step = STEPS.find((size) => size <= wanted) ?? 0.001;
  const [x0, y0] = [west + (east - west) * LABEL_AT, low + (high - low) * LABEL_AT];
  const features = [
    ...multiples(west, east, step).flatMap((x) => meridian(x, low, high, y0)),
    ...multiples(low, high, step).flatMap((y) => parallel(y, west, east, x0)),
  ];
  return { type: "FeatureCollection", features };
}

function multiples(from: number, to: number, step: number): number[] {
  const first = Math.ceil(from / step);
  const count = Math.max(0, Math.floor(to / step) - first + 1);
  return Array.from({ length: count }, (_, k) => (first + k) * step);
}

function meridian(x: number, south: number, north: number, y0: number): Feature<LineString | Point>[] {
  const wrapped = ((((x + 180) % 360) + 360) % 360) - 180;
  const label = `${degrees(wrapped)}° ${wrapped < 0 ? texts.units.west : texts.units.east}`;
  return [line([x, south], [x, north]), point([x, y0], label, "foot")];
}

function parallel(y: number, west: number, east: number, x0: number): Feature<LineString | Point>[] {
  const label = `${degrees(y)}° ${y < 0 ? texts.units.south : texts.units.north}`;
  return [line([west, y], [east, y]), point([x0, y], label, "left")];
}

function line(...coordinates: number[][]): Feature<LineString> {
  return { type: "Feature", properties: {}, geometry: { type: "LineString", coordinates } };
}

function point(coordinates: number[], label: string, side: string): Feature<Point> {
  return { type: "Feature", properties: { label, side }, geometry: { type: "Point", coordinates } };
}

function degrees(value: number): string {
  return String(Number(Math.abs(value).toFixed(3)));
}
