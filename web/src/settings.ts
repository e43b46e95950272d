/** What the service tells its page: sign-in, base map, limits, and the processes it offers. */

import { signal } from "@preact/signals";
import { ask } from "./api/client";
import type { PageSettings, Process } from "./api/types";

export const settings = signal<PageSettings | null>(null);
export const processes = signal<Record<string, Process>>({});

/** Read the page's settings; the processes, which may need a key, follow by themselves. */
export async function readSettings(): Promise<PageSettings> {
  settings.value = await ask<PageSettings>("page.json");
  return settings.value;
}

/** Return a process that maps, asked for once. */
export async function readProcesses(): Promise<void> {
  const names = ["local-climate-zones", "land-cover"];
  const { processes: offered } = await ask<{ processes: { id: string }[] }>("processes");
  const known = names.filter((name) => offered.some((one) => one.id === name));
  const found = await Promise.all(known.map((name) => ask<Process>(`processes/${name}`)));
  processes.value = Object.fromEntries(found.map((process) => [process.id, process]));
}
