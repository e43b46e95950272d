/** Numbers, sizes and dates as the reader's language writes them. */

import { texts } from "./texts";

const LANGUAGE = texts.language;
const SMALL_KM2 = 0.01;
const BYTES = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;

export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: digits }).format(value);
}

/** Three significant digits, and square metres where square kilometres would be all zeros. */
export function km2(value: number): string {
  if (value > 0 && value < SMALL_KM2) return `${number(value * 1e6)} m²`;
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return `${number(value, digits)} km²`;
}

export function percent(share: number, digits = 0): string {
  const options = { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits } as const;
  return new Intl.NumberFormat(LANGUAGE, options).format(share);
}

export function bytes(count: number): string {
  const step = Math.min(BYTES.length - 1, Math.floor(Math.log10(Math.max(count, 1)) / 3));
  const value = count / 1000 ** step;
  const unit = BYTES[step] ?? "byte";
  const options = { style: "unit", unit, maximumFractionDigits: value < 10 && step ? 1 : 0 } as const;
  return new Intl.NumberFormat(LANGUAGE, options).format(value);
}

export function duration(seconds: number): string {
  if (seconds < 90) return texts.units.seconds(Math.max(1, Math.round(seconds)));
  if (seconds < 5400) return texts.units.minutes(Math.round(seconds / 60));
  return texts.units.hours(number(seconds / 3600, 1));
}

export function when(date: string): string {
  return new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" }).format(new Date(date));
}

export function day(date: string): string {
  return new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium" }).format(new Date(date));
}

/** A place as people write it: 50.0755° N, 14.4378° E. */
export function place(lon: number, lat: number): string {
  const north = lat >= 0 ? texts.units.north : texts.units.south;
  const east = lon >= 0 ? texts.units.east : texts.units.west;
  return `${Math.abs(lat).toFixed(5)}° ${north}, ${Math.abs(lon).toFixed(5)}° ${east}`;
}
