import { describe, expect, it } from "vitest";
import { Problem } from "../src/api/problem";
import { FIELDS, type Field, faultsOf, fieldOf, isPlaced } from "../src/form/faults";

const fault = (pointer: string) => ({ pointer, detail: `about ${pointer}` });
const problem = (...pointers: string[]) => new Problem(422, { errors: pointers.map(fault) });

describe("the field a fault belongs to", () => {
  it.each(FIELDS)("is %s itself", (field) => {
    expect(fieldOf(fault(field))).toBe(field);
    expect(fieldOf(fault(`${field}/0/1`))).toBe(field);
  });

  it.each<[string, Field | null]>([
    ["/inputs/aoi/coordinates/0/3", "/inputs/aoi"],
    ["/inputs/imagery/stac", "/inputs/imagery"],
    ["/inputs/imagery/stac/datetime", "/inputs/imagery/stac/datetime"],
    ["/inputs/imagery/uploads/1", "/inputs/imagery/uploads"],
    ["/inputs/parcels/upload", "/inputs/parcels"],
    ["/inputs/parcels/streets/layer", "/inputs/parcels/streets"],
    ["/inputs/titles", null],
    ["/inputs/model2", null],
    ["/inputs", null],
    ["/inputs/", null],
    ["inputs/title", null],
    ["/response", null],
    ["", null],
    ["limit", null],
    ["/__proto__", null],
  ])("of %j is %j", (pointer, field) => {
    expect(fieldOf(fault(pointer))).toBe(field);
  });

  it("has those faults and no others", () => {
    const told = problem("/inputs/imagery", "/inputs/imagery/bands/0", "/inputs/imagery/bands", "/else");
    expect(faultsOf("/inputs/imagery/bands", told)).toEqual([
      fault("/inputs/imagery/bands/0"),
      fault("/inputs/imagery/bands"),
    ]);
    expect(faultsOf("/inputs/imagery", told)).toEqual([fault("/inputs/imagery")]);
    expect(faultsOf("/inputs/title", told)).toEqual([]);
    expect(faultsOf("/inputs/title", null)).toEqual([]);
  });
});

describe("a problem", () => {
  it("is placed when all of its faults are", () => {
    expect(isPlaced(problem("/inputs/aoi/bbox", "/inputs/title"))).toBe(true);
    expect(isPlaced(problem("/inputs/aoi", "/response"))).toBe(false);
    expect(isPlaced(problem("/response"))).toBe(false);
  });

  it("without faults is not", () => {
    expect(isPlaced(problem())).toBe(false);
    expect(isPlaced(new Problem(503, { code: "unavailable" }))).toBe(false);
  });
});
