import { describe, expect, it } from "vitest";
import { fitOf, km2Of } from "../src/area/measuring";
import { type Bounds, rectangle } from "../src/area/parsing";

const LIMITS = { min_km2: 1, max_km2: 600 };

/** On the WGS 84 ellipsoid, by pyproj's Geod along parallels of 0.001 degrees a piece. */
const KNOWN: [string, Bounds, number][] = [
  ["a degree at the equator", [0, 0, 1, 1], 12308.464],
  ["a degree at Prague", [14, 50, 15, 51], 7892.219],
  ["a part of Prague", [14.4, 50.05, 14.45, 50.1], 19.905854],
  ["a street of Prague", [14.42, 50.08, 14.43, 50.09], 0.79607],
  ["a degree at Helsinki", [25, 60, 26, 61], 6123.141],
  ["a degree of Svalbard", [15, 78, 16, 79], 2485.858],
];

describe("the area of an outline", () => {
  it.each(KNOWN)("is that of %s within one percent", (_, bounds, known) => {
    expect(Math.abs(km2Of(rectangle(bounds)) / known - 1)).toBeLessThan(0.01);
  });

  it("is the same in the southern half, in the western half, and the other way round", () => {
    const north = km2Of(rectangle([14, 50, 15, 51]));
    expect(km2Of(rectangle([14, -51, 15, -50]))).toBeCloseTo(north, 6);
    expect(km2Of(rectangle([-15, 50, -14, 51]))).toBeCloseTo(north, 6);
    const [ring = []] = rectangle([14, 50, 15, 51]).coordinates;
    expect(km2Of({ type: "Polygon", coordinates: [ring.toReversed()] })).toBeCloseTo(north, 6);
  });

  it("is without its holes, and that of all its parts", () => {
    const outer = rectangle([14, 50, 15, 51]);
    const hole = rectangle([14.25, 50.25, 14.75, 50.75]);
    const far = rectangle([20, 50, 21, 51]);
    const holed = km2Of({ type: "Polygon", coordinates: [...outer.coordinates, ...hole.coordinates] });
    expect(holed).toBeCloseTo(km2Of(outer) - km2Of(hole), 6);
    const parts = km2Of({ type: "MultiPolygon", coordinates: [outer.coordinates, far.coordinates] });
    expect(parts).toBeCloseTo(2 * km2Of(outer), 6);
  });

  it("of the whole Earth is the Earth's", () => {
    expect(Math.abs(km2Of(rectangle([-180, -90, 180, 90])) / 510_065_622 - 1)).toBeLessThan(0.01);
  });
});

describe("whether a model takes it", () => {
  it.each([
    [0, "small"],
    [0.999, "small"],
    [1, "fits"],
    [600, "fits"],
    [600.001, "large"],
    [Infinity, "large"],
  ] as const)("%f km² is %s", (size, fit) => {
    expect(fitOf(size, LIMITS)).toBe(fit);
  });
});
