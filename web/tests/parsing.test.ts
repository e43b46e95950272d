import { describe, expect, it } from "vitest";
import { boundsOf, parseArea, rectangle } from "../src/area/parsing";
import { texts } from "../src/texts";

const RING = [
  [14.4, 50.0],
  [14.5, 50.0],
  [14.5, 50.1],
  [14.4, 50.0],
];
const POLYGON = { type: "Polygon", coordinates: [RING] };
const OTHER = { type: "Polygon", coordinates: [RING.map(([x = 0, y = 0]) => [x + 1, y])] };
const POINT = { type: "Point", coordinates: [14.4, 50.0] };
const both = { type: "MultiPolygon", coordinates: [POLYGON.coordinates, OTHER.coordinates] };
const feature = (geometry: unknown) => ({ type: "Feature", properties: {}, geometry });
const collection = (...features: unknown[]) => ({ type: "FeatureCollection", features });
const geometries = (...inner: unknown[]) => ({ type: "GeometryCollection", geometries: inner });
const parsed = (value: unknown) => parseArea(JSON.stringify(value));

describe("GeoJSON of any wrapping", () => {
  it.each([
    ["a polygon", POLYGON],
    ["a feature", feature(POLYGON)],
    ["a collection", collection(feature(POLYGON))],
    ["a collection of geometries", geometries(POLYGON)],
    ["a multipolygon of one", { type: "MultiPolygon", coordinates: [POLYGON.coordinates] }],
    ["everything in everything", collection(feature(geometries(geometries(POLYGON))))],
    ["a polygon among what is none", collection(feature(POINT), feature(null), null, feature(POLYGON))],
    ["features that should be geometries", collection(POLYGON)],
  ])("finds the polygon in %s", (_, value) => {
    expect(parsed(value)).toEqual(POLYGON);
  });

  it.each([
    ["a multipolygon", both],
    ["two features", collection(feature(POLYGON), feature(OTHER))],
    ["two geometries", geometries(POLYGON, OTHER)],
    ["a multipolygon with an empty part", { ...both, coordinates: [[], ...both.coordinates, [[]]] }],
  ])("joins the polygons of %s", (_, value) => {
    expect(parsed(value)).toEqual(both);
  });

  it("keeps holes and heights, and cares for neither white space nor a byte order mark", () => {
    const high = RING.map((place) => [...place, 210.5]);
    const told = { type: "Polygon", coordinates: [high, high] };
    expect(parseArea(`\uFEFF \n${JSON.stringify(told, null, 2)}\n `)).toEqual(told);
  });
});

describe("bounds", () => {
  const prague = rectangle([14.2, 49.9, 14.7, 50.2]);

  it.each([
    "14.2, 49.9, 14.7, 50.2",
    "14.2 49.9 14.7 50.2",
    "[14.2,49.9,14.7,50.2]",
    " 14.2;\t49.9;14.7;  50.2\n",
    "14.20,49.90,14.70,50.20",
  ])("reads %j", (text) => {
    expect(parseArea(text)).toEqual(prague);
  });

  it("takes the whole Earth, the southern and the western half", () => {
    expect(parseArea("-180 -90 180 90")).toEqual(rectangle([-180, -90, 180, 90]));
    expect(parseArea("-58.6,-34.8,-58.3,-34.5")).toEqual(rectangle([-58.6, -34.8, -58.3, -34.5]));
  });

  it.each(["179 -1 -179 1", "14.7 49.9 14.2 50.2", "14.2 50.2 14.7 49.9", "14 50 14 51", "0 0 0 0"])(
    "asks for the order where %j is none, as across the antimeridian",
    (text) => {
      expect(() => parseArea(text)).toThrow(texts.area.wrongOrder);
    },
  );

  it.each(["170 -10 190 10", "-181 0 1 1", "0 -91 1 1", "0 0 1 91", "473900 5547200 502100 5580400", "9".repeat(400)])(
    "refuses %s, which is no longitude and latitude",
    (text) => {
      const bounds = text.includes(" ") ? text : `0 0 1 ${text}`;
      expect(() => parseArea(bounds)).toThrow(texts.area.outOfRange);
    },
  );

  it("is the rectangle's own way back", () => {
    expect(boundsOf(rectangle([-1.5, -2, 3, 4.25]))).toEqual([-1.5, -2, 3, 4.25]);
    expect(boundsOf(both as never)).toEqual([14.4, 50, 15.5, 50.1]);
  });
});

describe("what is no area", () => {
  it.each(["", "  \n\t", "\uFEFF"])("asks for something where there is nothing: %j", (text) => {
    expect(() => parseArea(text)).toThrow(texts.area.nothing);
  });

  it.each([
    "Praha",
    "14.2, 49.9, 14.7",
    "14.2, 49.9, 14.7, 50.2, 3",
    "NaN NaN NaN NaN",
    "[NaN, 49.9, 14.7, 50.2]",
    "Infinity 0 1 1",
    "0x1 0 1 1",
    "14,2 49,9 14,7 50,2",
    '{"type":"Polygon","coordinates":[[[NaN,0],[1,0],[1,1],[NaN,0]]]}',
    '{"type":"Polygon","coordinates":[[[0,0],',
    '{"type":"Polygon","coordinates":[[[1e999,0],[1,0],[1,1],[1e999,0]]]}',
    "<kml><Polygon/></kml>",
    "POLYGON ((14.4 50, 14.5 50, 14.5 50.1, 14.4 50))",
  ])("says that %j is unreadable", (text) => {
    expect(() => parseArea(text)).toThrow(texts.area.unreadable);
  });

  it.each([
    ["words", "abc"],
    ["nothing", null],
    ["an object", { 0: RING }],
    ["a ring too few", RING],
    ["a place", [14.4, 50]],
    ["rings of numbers", [[14.4, 50]]],
    ["a ring too many", [[RING]]],
    [
      "numbers as text",
      [
        [
          ["14.4", "50"],
          ["14.5", "50"],
          ["14.5", "50.1"],
          ["14.4", "50"],
        ],
      ],
    ],
    ["places of nothing", [[null, null, null, null]]],
    ["places without a latitude", [[[14.4], [14.5], [14.5], [14.4]]]],
  ])("says that coordinates of %s are unreadable", (_, coordinates) => {
    expect(() => parsed({ type: "Polygon", coordinates })).toThrow(texts.area.unreadable);
    expect(() => parsed({ type: "MultiPolygon", coordinates: [coordinates] })).toThrow(texts.area.unreadable);
  });

  it("says that a multipolygon without a list is unreadable", () => {
    for (const coordinates of [null, "abc", 5, { length: 1 }]) {
      expect(() => parsed({ type: "MultiPolygon", coordinates })).toThrow(texts.area.unreadable);
    }
  });

  it("refuses places that are not on Earth, as of another coordinate system", () => {
    const projected = [
      [
        [473900, 5547200],
        [502100, 5547200],
        [502100, 5580400],
        [473900, 5547200],
      ],
    ];
    expect(() => parsed({ type: "Polygon", coordinates: projected })).toThrow(texts.area.outOfRange);
    expect(() => parsed(feature({ type: "Polygon", coordinates: [[[0, 90.001]]] }))).toThrow(texts.area.outOfRange);
  });

  it.each([
    ["a point", POINT],
    ["a line", { type: "LineString", coordinates: RING }],
    ["no geometry", feature(null)],
    ["a feature of words", feature("Polygon")],
    ["an empty collection", collection()],
    ["a collection of nothing", collection(null, null)],
    ["a collection without features", { type: "FeatureCollection" }],
    ["features that are no list", { type: "FeatureCollection", features: "abc" }],
    ["features that are an object", { type: "FeatureCollection", features: { 0: feature(POLYGON) } }],
    ["geometries that are no list", { type: "GeometryCollection", geometries: 7 }],
    ["an empty polygon", { type: "Polygon", coordinates: [] }],
    ["a polygon of an empty ring", { type: "Polygon", coordinates: [[]] }],
    ["an empty multipolygon", { type: "MultiPolygon", coordinates: [] }],
    ["a multipolygon of empty polygons", { type: "MultiPolygon", coordinates: [[], [[]]] }],
    ["a list of polygons", [POLYGON]],
    ["nothing", null],
    ["a number", 14.2],
    ["words", "Polygon"],
    ["a type it does not know", { ...POLYGON, type: "polygon" }],
    ["a type that every object has", { ...POLYGON, type: "constructor" }],
    ["a type that is a list", { ...POLYGON, type: ["Polygon"] }],
  ])("says that there is no polygon in %s", (_, value) => {
    expect(() => parsed(value)).toThrow(texts.area.noPolygon);
  });

  it("is not taken in by a prototype", () => {
    const text = `{"__proto__": ${JSON.stringify(POLYGON)}}`;
    expect(() => parseArea(text)).toThrow(texts.area.noPolygon);
    expect(({} as { type?: string }).type).toBeUndefined();
  });
});

describe("texts made to break a reader", () => {
  const DEEP = 50_000;

  it.each([
    ["collections", '{"type":"GeometryCollection","geometries":[', "]}"],
    ["features", '{"type":"Feature","geometry":', "}"],
  ])("gives up on %s in one another", (_, open, close) => {
    const text = open.repeat(DEEP) + JSON.stringify(POLYGON) + close.repeat(DEEP);
    expect(() => parseArea(text)).toThrow(texts.area.unreadable);
  });

  it("gives up on lists in one another", () => {
    const lists = "[".repeat(DEEP) + "]".repeat(DEEP);
    expect(() => parseArea(`{"type":"Polygon","coordinates":${lists}}`)).toThrow(texts.area.unreadable);
    expect(() => parseArea(lists)).toThrow(texts.area.noPolygon);
  });

  it("does not dwell on text that is almost bounds", () => {
    const started = performance.now();
    for (const piece of ["1", "1 ", "1.", "-", ",", "[ "]) {
      expect(() => parseArea(`${piece.repeat(DEEP)}x`)).toThrow(texts.area.unreadable);
    }
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it("reads an outline of very many corners", () => {
    const ring = Array.from({ length: DEEP }, (_, k) => [Math.cos(k / 1e4), Math.sin(k / 1e4)]);
    const [west, south, east, north] = boundsOf(parsed({ type: "Polygon", coordinates: [ring] }));
    expect([west, south, east, north].map((value) => Math.round(value))).toEqual([-1, -1, 1, 1]);
  });
});
