/** Which colours classes have: the field's own, or those that everybody can tell apart. The choice stays. */

import { effect, signal } from "@preact/signals";

export type Palette = "standard" | "safe";

const KEPT = "cityzones-palette";

export const palette = signal<Palette>(localStorage.getItem(KEPT) === "safe" ? "safe" : "standard");

/** What an address of tiles or a legend says of the palette; nothing where it is the usual one. */
export function colours(chosen: Palette): string {
  return chosen === "safe" ? "&palette=safe" : "";
}

effect(() => localStorage.setItem(KEPT, palette.value));
