/** The API key: asked for when the service wants one, kept in this tab's session, shared with the annotation pages. */

import { signal } from "@preact/signals";

const KEPT = "cityzones-key";

export const key = signal(sessionStorage.getItem(KEPT) ?? "");

/** Why a key is asked for right now; null while none is. */
export const wanted = signal<"missing" | "refused" | "changing" | null>(null);

let waiting: ((given: boolean) => void)[] = [];

/** Ask the person for a key. Resolves to whether one was given; several callers share one question. */
export function askForKey(why: "missing" | "refused" | "changing"): Promise<boolean> {
  wanted.value = why;
  return new Promise((done) => waiting.push(done));
}

export function giveKey(text: string): void {
  key.value = text.trim();
  sessionStorage.setItem(KEPT, key.value);
  settle(true);
}

export function refuseKey(): void {
  settle(false);
}

export function forgetKey(): void {
  key.value = "";
  sessionStorage.removeItem(KEPT);
}

export function keyHeaders(): Record<string, string> {
  return key.value ? { Authorization: `Bearer ${key.value}` } : {};
}

function settle(given: boolean): void {
  wanted.value = null;
  const asked = waiting;
  waiting = [];
  for (const done of asked) done(given);
}
