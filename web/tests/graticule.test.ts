import type { Feature, FeatureCollection, LineString, Point } from "geojson";
import { describe, expect, it } from "vitest";
import type { Bounds } from "../src/area/parsing";
import { graticule } from "../src/map/graticule";

const VIEWS: [string, Bounds][] = [
  ["Prague", [14.2, 49.9, 14.7, 50.2]],
  ["a street", [14.42, 50.08, 14.43, 50.085]],
  ["Europe", [-12.5, 34, 42, 71.3]],
  ["Rio de Janeiro", [-43.8, -23.1, -43.1, -22.7]],
  ["the Gulf of Guinea", [-3.1, -2.2, 4, 3.3]],
  ["Fiji, across the antimeridian", [176.2, -19.5, 182.4, -15.7]],
  ["Fiji, from the other side", [-183.8, -19.5, -177.6, -15.7]],
  ["a telephone held upright", [14.3, 49.9, 14.5, 50.3]],
  ["Svalbard", [10, 76.5, 34, 80.9]],
  ["almost all of the Earth", [-179.9, -85, 179.9, 85]],
];

/** Sums of steps are not exact: 14.2 is 71 times 0.2 to within this. */
const NEARLY = 1e-9;

const lines = ({ features }: FeatureCollection) =>
  features.filter((one): one is Feature<LineString> => one.geometry.type === "LineString");
const labels = ({ features }: FeatureCollection) =>
  features.filter((one): one is Feature<Point> => one.geometry.type === "Point");
const textsOf = (drawn: FeatureCollection, side: string) =>
  labels(drawn).flatMap(({ properties }) => (properties?.side === side ? [properties.label as string] : []));
const degreesOf = (label: string) => Number.parseFloat(label) * (/[WS]$/.test(label) ? -1 : 1);

describe.each(VIEWS)("over %s", (_, view) => {
  const [west, south, east, north] = view;
  const drawn = graticule(view);

  it("lies within the view", () => {
    const places = drawn.features.flatMap(({ geometry }) =>
      geometry.type === "Point" ? [geometry.coordinates] : geometry.coordinates,
    );
    for (const [x = Number.NaN, y = Number.NaN] of places) {
      expect(x).toBeGreaterThanOrEqual(west - NEARLY);
      expect(x).toBeLessThanOrEqual(east + NEARLY);
      expect(y).toBeGreaterThanOrEqual(south - NEARLY);
      expect(y).toBeLessThanOrEqual(north + NEARLY);
    }
  });

  it("has one label for every line, and none twice", () => {
    const [feet, left] = [textsOf(drawn, "foot"), textsOf(drawn, "left")];
    expect(feet.length + left.length).toBe(lines(drawn).length);
    expect(new Set(feet).size).toBe(feet.length);
    expect(new Set(left).size).toBe(left.length);
    expect([...feet, ...left].filter((label) => !/^\d+(\.\d{1,3})?° [NESW]$/.test(label))).toEqual([]);
  });

  it("writes on every line where it is", () => {
    for (const { geometry, properties } of labels(drawn)) {
      const [x = 0, y = 0] = geometry.coordinates;
      const told = degreesOf(properties?.label as string);
      const apart = properties?.side === "foot" ? Math.abs(x - told) % 360 : Math.abs(y - told);
      expect(Math.min(apart, 360 - apart)).toBeLessThan(NEARLY);
    }
  });

  it("divides the view into some six to sixteen parts", () => {
    expect(textsOf(drawn, "foot").length).toBeGreaterThanOrEqual(5);
    expect(textsOf(drawn, "foot").length).toBeLessThanOrEqual(16);
  });
});

describe("the graticule", () => {
  it("is of straight lines from edge to edge, their labels at the lower left", () => {
    const drawn = graticule([14.25, 49.95, 14.75, 50.25]);
    const step = (from: number, count: number) => Array.from({ length: count }, (_, k) => from + k * 0.05);
    const ends = lines(drawn).map(({ geometry }) =>
      geometry.coordinates.map((place) => place.map((n) => n.toFixed(2))),
    );
    expect(ends.slice(0, 11)).toEqual(
      step(14.25, 11).map((x) => [
        [x.toFixed(2), "49.95"],
        [x.toFixed(2), "50.25"],
      ]),
    );
    expect(ends.slice(11)).toEqual(
      step(49.95, 7).map((y) => [
        ["14.25", y.toFixed(2)],
        ["14.75", y.toFixed(2)],
      ]),
    );
    expect(textsOf(drawn, "left")).toEqual([
      "49.95° N",
      "50° N",
      "50.05° N",
      "50.1° N",
      "50.15° N",
      "50.2° N",
      "50.25° N",
    ]);
    const [first] = labels(drawn);
    expect(first?.geometry.coordinates[1]).toBeCloseTo(49.956, 9);
  });

  it("counts on across the antimeridian", () => {
    const texts = ["176° E", "177° E", "178° E", "179° E", "180° W", "179° W", "178° W"];
    expect(textsOf(graticule([175.5, -19, 182.5, -15]), "foot")).toEqual(texts);
    expect(textsOf(graticule([-184.5, -19, -177.5, -15]), "foot")).toEqual(texts);
  });

  it("changes sides at the equator and at Greenwich", () => {
    const drawn = graticule([-12, -12, 12, 12]);
    expect(textsOf(drawn, "foot")).toEqual([
      "12° W",
      "10° W",
      "8° W",
      "6° W",
      "4° W",
      "2° W",
      "0° E",
      "2° E",
      "4° E",
      "6° E",
      "8° E",
      "10° E",
      "12° E",
    ]);
    expect(textsOf(drawn, "left")).toContain("0° N");
    expect(textsOf(drawn, "left")).toContain("12° S");
  });

  it("ends short of the poles, which the map cannot show", () => {
    const drawn = graticule([-180, -90, 180, 90]);
    const ys = lines(drawn).flatMap(({ geometry }) => geometry.coordinates.map(([, y]) => y ?? 0));
    expect(Math.min(...ys)).toBe(-85);
    expect(Math.max(...ys)).toBe(85);
    expect(graticule([0, 86, 10, 89]).features).toEqual([]);
    expect(graticule([0, -90, 10, -85]).features).toEqual([]);
  });

  it("is of the finest lines there are in a tiny view, or of none", () => {
    expect(textsOf(graticule([14.4195, 50.0795, 14.4215, 50.0805]), "foot")).toEqual(["14.42° E", "14.421° E"]);
    expect(graticule([14.4201, 50.0801, 14.4202, 50.0802]).features).toEqual([]);
  });

  it.each<[string, Bounds]>([
    ["no width", [14, -80, 14, 80]],
    ["no height", [14, 50, 15, 50]],
    ["its edges changed over", [170, -80, -170, 80]],
    ["no numbers", [Number.NaN, Number.NaN, Number.NaN, Number.NaN]],
  ])("is empty in a view of %s", (_, view) => {
    expect(graticule(view).features).toEqual([]);
  });

  it("stays small in a view that is a sliver, and where the Earth is seen more than once", () => {
    expect(graticule([14, -80, 14.001, 80]).features.length).toBeLessThan(200);
    expect(graticule([-540, -80, 540, 80]).features.length).toBeLessThan(200);
  });
});
