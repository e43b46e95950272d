/** The little of a browser that the modules of the page take for granted; it is there before each file of tests. */

import { vi } from "vitest";

class Kept implements Storage {
  readonly #items = new Map<string, string>();
  get length(): number {
    return this.#items.size;
  }
  clear(): void {
    this.#items.clear();
  }
  getItem(name: string): string | null {
    return this.#items.get(name) ?? null;
  }
  key(index: number): string | null {
    return [...this.#items.keys()][index] ?? null;
  }
  removeItem(name: string): void {
    this.#items.delete(name);
  }
  setItem(name: string, value: string): void {
    this.#items.set(name, value);
  }
}

const page = new EventTarget();
const place = { hash: "", baseURI: "http://localhost/" };

vi.stubGlobal("sessionStorage", new Kept());
vi.stubGlobal("localStorage", new Kept());
vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
vi.stubGlobal("document", {
  get baseURI() {
    return place.baseURI;
  },
});
vi.stubGlobal("location", {
  get hash() {
    return place.hash;
  },
  set hash(hash: string) {
    place.hash = hash;
    page.dispatchEvent(new Event("hashchange"));
  },
});

/** Let the page have come from an address; relative ones then lead there, as they do in browsers. */
export function comeFrom(address: string): void {
  place.baseURI = address;
}

const fetched = globalThis.fetch;
vi.stubGlobal("fetch", (path: string, init?: RequestInit) => fetched(new URL(path, place.baseURI), init));

const wait = globalThis.setTimeout;

/** Let the page's clock run so many times faster, but for the pauses of `except`; returns those it asks for, in ms. */
export function hasten(times = 1000, except: readonly number[] = []): number[] {
  const pauses: number[] = [];
  vi.stubGlobal("setTimeout", (done: () => void, milliseconds = 0, ...told: []) => {
    if (new Error().stack?.includes("node:internal/deps")) return wait(done, milliseconds, ...told); // fetch keeps time
    pauses.push(milliseconds);
    return wait(done, except.includes(milliseconds) ? milliseconds : milliseconds / times);
  });
  return pauses;
}

/** Wait for milliseconds of a test's own clock, which is not hastened. */
export function pass(milliseconds: number): Promise<void> {
  return new Promise((done) => wait(done, milliseconds));
}
