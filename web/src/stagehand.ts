/** The one map of the page: loaded after the page itself, and absent where the browser cannot draw it. */

import { signal } from "@preact/signals";
import type { PageSettings } from "./api/types";
import type { Stage } from "./map/stage";

export const stage = signal<Stage | null>(null);
export const noMap = signal(false);

/** Make the map in a container. Where WebGL is missing, everything but the map goes on. */
export async function raise(container: HTMLElement, settings: PageSettings): Promise<void> {
  try {
    const { Stage: Made } = await import("./map/stage");
    stage.value = new Made(container, settings);
  } catch {
    container.replaceChildren();
    noMap.value = true;
  }
}
