/** Reads an area of interest from what a person pastes or drops: GeoJSON of any wrapping, or west, south, east, north. */

import type { GeoJSON, Geometry, Polygon, Position } from "geojson";
import type { Area } from "../api/types";
import { texts } from "../texts";

const NUMBER = String.raw`-?\d+(?:\.\d+)?`;
const BOUNDS = new RegExp(`^\\[?\\s*(${NUMBER})[\\s,;]+(${NUMBER})[\\s,;]+(${NUMBER})[\\s,;]+(${NUMBER})\\s*\\]?$`);

/** Honest GeoJSON wraps a polygon three or four times; a text that does not end must not exhaust the stack. */
const MOST_WRAPPINGS = 100;

export type Bounds = [number, number, number, number];

/** Return the polygons of a text; throws an Error whose message is meant for people. */
export function parseArea(text: string): Area {
  const given = text.trim();
  if (!given) throw new Error(texts.area.nothing);
  const bounds = BOUNDS.exec(given);
  if (bounds) return rectangle(checkedBounds(bounds.slice(1).map(Number) as Bounds));
  let read: GeoJSON;
  try {
    read = JSON.parse(given) as GeoJSON;
  } catch {
    throw new Error(texts.area.unreadable);
  }
  return joined(polygonsOf(read));
}

export function rectangle([west, south, east, north]: Bounds): Polygon {
  const ring = [
    [west, south],
    [east, south],
    [east, north],
    [west, north],
    [west, south],
  ];
  return { type: "Polygon", coordinates: [ring] };
}

/** Return west, south, east, north in degrees of an area that does not cross the antimeridian. */
export function boundsOf(area: Geometry): Bounds {
  const bounds: Bounds = [Infinity, Infinity, -Infinity, -Infinity];
  const add = (place: Position) => {
    const [x = 0, y = 0] = place;
    bounds[0] = Math.min(bounds[0], x);
    bounds[1] = Math.min(bounds[1], y);
    bounds[2] = Math.max(bounds[2], x);
    bounds[3] = Math.max(bounds[3], y);
  };
  if (area.type === "Polygon") area.coordinates.flat().forEach(add);
  else if (area.type === "MultiPolygon") area.coordinates.flat(2).forEach(add);
  return bounds;
}

function checkedBounds(bounds: Bounds): Bounds {
  const [west, south, east, north] = bounds;
  if (Math.abs(west) > 180 || Math.abs(east) > 180 || Math.abs(south) > 90 || Math.abs(north) > 90) {
    throw new Error(texts.area.outOfRange);
  }
  if (west >= east || south >= north) throw new Error(texts.area.wrongOrder);
  return bounds;
}

function polygonsOf(read: GeoJSON, wrappings = 0): Polygon["coordinates"][] {
  if (wrappings > MOST_WRAPPINGS) throw new Error(texts.area.unreadable);
  const unwrapped = (inner: GeoJSON) => polygonsOf(inner, wrappings + 1);
  switch (read?.type) {
    case "Polygon":
      return checked([read.coordinates]);
    case "MultiPolygon":
      return checked(read.coordinates);
    case "Feature":
      return unwrapped(read.geometry);
    case "FeatureCollection":
      return listed(read.features).flatMap(unwrapped);
    case "GeometryCollection":
      return listed(read.geometries).flatMap(unwrapped);
    default:
      return [];
  }
}

function listed<T>(members: T[]): T[] {
  return Array.isArray(members) ? members : [];
}

/** Return the polygons that have an outline; throws where a place is not one on Earth. */
function checked(polygons: Polygon["coordinates"][]): Polygon["coordinates"][] {
  if (!Array.isArray(polygons)) throw new Error(texts.area.unreadable);
  for (const place of polygons.flat(2)) {
    const [x, y] = Array.isArray(place) ? place : [];
    if (!Number.isFinite(x) || !Number.isFinite(y)) throw new Error(texts.area.unreadable);
    if (Math.abs(x as number) > 180 || Math.abs(y as number) > 90) throw new Error(texts.area.outOfRange);
  }
  return polygons.filter((rings) => rings[0]?.length);
}

function joined(polygons: Polygon["coordinates"][]): Area {
  const [first] = polygons;
  if (!first) throw new Error(texts.area.noPolygon);
  return polygons.length === 1
    ? { type: "Polygon", coordinates: first }
    : { type: "MultiPolygon", coordinates: polygons };
}
