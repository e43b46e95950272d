import { describe, expect, it } from "vitest";
import { goTo, hashOf, type Route, read, route } from "../src/route";

const ONE = "job_01jd8x4t7v9k2m5n8p3q6r0s1t";
const TWO = "job_7zzzzzzzzzzzzzzzzzzzzzzzzz";
const ROUTES: [string, Route][] = [
  ["#/", { page: "new" }],
  ["#/maps", { page: "jobs" }],
  [`#/maps/${ONE}`, { page: "job", job: ONE }],
  [`#/compare/${ONE}/${TWO}`, { page: "compare", jobs: [ONE, TWO] }],
];

describe("addresses of views", () => {
  it.each(ROUTES)("%s is there and back again", (hash, to) => {
    expect(read(hash)).toEqual(to);
    expect(hashOf(to)).toBe(hash);
  });

  it.each(["", "#", "#/"])("%j is where everything begins", (hash) => {
    expect(read(hash)).toEqual({ page: "new" });
  });

  it.each([
    "#/nowhere",
    "#//",
    "#/maps/",
    "#/Maps",
    "#/maps?x=1",
    "#/maps/job_0",
    `#/maps/${ONE}/`,
    `#/maps/${ONE}0`,
    `#/maps/${ONE}\n`,
    `#/maps/${ONE.toUpperCase()}`,
    `#/maps/${ONE}?q`,
    `#/maps/../${ONE}`,
    `#/maps/%2e%2e%2f${ONE.slice(9)}`,
    `#/compare/${ONE}`,
    `#/compare/${ONE}/${TWO}/${ONE}`,
    `#/compare/${ONE}/..`,
    "#/maps/<img src=x onerror=alert(1)>",
    "#javascript:alert(1)",
    "#/__proto__",
    `#/${"maps/".repeat(100_000)}`,
  ])("knows no page at %.60s", (hash) => {
    expect(read(hash)).toEqual({ page: "unknown" });
  });

  it("leads from an unknown page to the beginning", () => {
    expect(hashOf({ page: "unknown" })).toBe("#/");
  });

  it.each(ROUTES)("goes to %s, and follows the address", (hash, to) => {
    goTo(to);
    expect(location.hash).toBe(hash);
    expect(route.value).toEqual(to);
    location.hash = "#/nowhere";
    expect(route.value).toEqual({ page: "unknown" });
  });
});
