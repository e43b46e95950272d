import { describe, expect, it } from "vitest";
import { bytes, day, duration, km2, number, percent, place, when } from "../src/format";

describe("numbers as people write them", () => {
  it.each([
    [0, 0, "0"],
    [1234567, 0, "1,234,567"],
    [0.5, 0, "1"],
    [2.345, 2, "2.35"],
    [3, 2, "3"],
    [-4.26, 1, "-4.3"],
  ])("%f to %i digits is %s", (value, digits, text) => {
    expect(number(value, digits)).toBe(text);
  });

  it.each([
    [0, "0 km²"],
    [0.00126, "1,260 m²"],
    [0.0099994, "9,999 m²"],
    [0.01, "0.01 km²"],
    [0.25, "0.25 km²"],
    [1.2345, "1.23 km²"],
    [9.999, "10 km²"],
    [12.345, "12.3 km²"],
    [99.96, "100 km²"],
    [123.4, "123 km²"],
    [78_866, "78,866 km²"],
  ])("an area of %f is %s", (value, text) => {
    expect(km2(value)).toBe(text);
  });

  it.each([
    [0, 0, "0%"],
    [0.126, 0, "13%"],
    [0.126, 1, "12.6%"],
    [1, 0, "100%"],
    [1, 1, "100.0%"],
    [0.8, 1, "80.0%"],
  ])("a share of %f to %i digits is %s", (share, digits, text) => {
    expect(percent(share, digits)).toBe(text);
  });

  it.each([
    [0, "0 byte"],
    [1, "1 byte"],
    [999, "999 byte"],
    [1000, "1 kB"],
    [1500, "1.5 kB"],
    [15_400, "15 kB"],
    [1_000_000, "1 MB"],
    [16 * 2 ** 20, "17 MB"],
    [999_499_999, "999 MB"],
    [1_000_000_000, "1 GB"],
    [2.5e12, "2,500 GB"],
  ])("%d bytes are %s", (count, text) => {
    expect(bytes(count)).toBe(text);
  });

  it.each([
    [0, "1 s"],
    [0.2, "1 s"],
    [59.5, "60 s"],
    [89.9, "90 s"],
    [90, "2 min"],
    [600, "10 min"],
    [5399, "90 min"],
    [5400, "1.5 h"],
    [90_000, "25 h"],
  ])("%f seconds are %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });
});

describe("dates and places", () => {
  it("are in the reader's own time", () => {
    const noon = new Date(2026, 8, 30, 12, 5);
    expect(day(noon.toISOString())).toBe("Sep 30, 2026");
    expect(when(noon.toISOString())).toMatch(/^Sep 30, 2026, 12:05\sPM$/);
  });

  it.each([
    [14.4378, 50.0755, "50.07550° N, 14.43780° E"],
    [-43.1729, -22.9068, "22.90680° S, 43.17290° W"],
    [0, 0, "0.00000° N, 0.00000° E"],
    [180, -90, "90.00000° S, 180.00000° E"],
  ])("%f, %f is written %s", (lon, lat, text) => {
    expect(place(lon, lat)).toBe(text);
  });
});
