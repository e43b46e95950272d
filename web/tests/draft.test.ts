import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Upload } from "../src/api/types";
import { rectangle } from "../src/area/parsing";
import { change, clear, type Draft, draft, missing, summer } from "../src/form/draft";

const KEPT = "cityzones-draft";
const AREA = rectangle([14.2, 49.9, 14.7, 50.2]);

beforeEach(clear);

describe("what stands in the way", () => {
  const dated = { from: "2026-05-01", to: "2026-09-30" };
  const cases: [string[], Partial<Draft>][] = [
    [[], { source: "catalogue", area: AREA, ...dated }],
    [["area"], { source: "catalogue", ...dated }],
    [["dates"], { source: "catalogue", area: AREA, from: "", to: "2026-09-30" }],
    [["dates"], { source: "catalogue", area: AREA, from: "2026-05-01", to: "" }],
    [["area", "dates"], { source: "catalogue", from: "", to: "" }],
    [["order"], { source: "catalogue", area: AREA, from: "2026-10-01", to: "2026-09-30" }],
    [["area", "order"], { source: "catalogue", from: "2026-10-01", to: "2026-09-30" }],
    [[], { source: "catalogue", area: AREA, from: "2026-05-01", to: "2026-05-01" }],
    [["images"], { source: "own", area: AREA }],
    [[], { source: "own", images: [{} as Upload] }],
    [[], { source: "job", from: "", to: "" }],
  ];
  it.each(cases)("is %j for %j", (expected, part) => {
    expect(missing({ ...draft.value, ...part })).toEqual(expected);
  });
});

describe("the summer it begins with", () => {
  it.each([
    ["2026-01-01", 2025],
    ["2026-06-15", 2025],
    ["2026-09-30", 2025],
    ["2026-10-01", 2026],
    ["2026-12-31", 2026],
  ])("is on %s that of %i, which is over", (today, year) => {
    expect(summer(new Date(`${today}T12:00:00`))).toEqual({ from: `${year}-05-01`, to: `${year}-09-30` });
  });
});

describe("the draft", () => {
  it("is changed in part, and kept in the tab", () => {
    change({ title: "Prague", coverage: 40 });
    change({ area: AREA });
    expect(draft.value).toMatchObject({ title: "Prague", coverage: 40, area: AREA, units: "auto" });
    expect(JSON.parse(sessionStorage.getItem(KEPT) ?? "")).toEqual(draft.value);
  });

  it("is cleared, but for the dates it begins with", () => {
    change({ title: "Prague", area: AREA });
    clear();
    expect(draft.value).toMatchObject({ title: "", area: null, ...summer(new Date()) });
  });

  const reloaded = async (kept: string) => {
    sessionStorage.setItem(KEPT, kept);
    vi.resetModules();
    return (await import("../src/form/draft")).draft.value;
  };

  it("comes back after a reload", async () => {
    const kept = JSON.stringify({ ...draft.value, title: "Prague", area: AREA });
    expect(await reloaded(kept)).toEqual({ ...draft.value, title: "Prague", area: AREA });
  });

  it("has what an older page did not know of", async () => {
    expect(await reloaded('{"title": "Prague"}')).toEqual({ ...draft.value, title: "Prague" });
  });

  it.each(["", "{", "null", "[]", "5"])("begins afresh where %j is kept", async (kept) => {
    expect(await reloaded(kept)).toEqual(draft.value);
  });
});
