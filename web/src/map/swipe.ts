/** Two maps above each other, the upper one cut off at a divider: what is left of it shows the lower one. */

import type { PageSettings, TileJson } from "../api/types";
import { Stage } from "./stage";

const LAYER = "swiped";

export class Swipe {
  readonly #lower: Stage;
  readonly #upper: Stage;
  readonly #box: HTMLElement;
  readonly #cut = document.createElement("div");
  readonly #handle = document.createElement("div");
  readonly #follow: () => void;

  /**
   * Lay a second map into `box`, over `lower`, that always looks where `lower` looks.
   *
   * `moved` is told where the divider is dragged to, as a share (0-1) of the width.
   */
  constructor(lower: Stage, box: HTMLElement, settings: PageSettings, moved: (share: number) => void) {
    this.#lower = lower;
    this.#box = box;
    this.#cut.className = "cut";
    this.#cut.inert = true; // it only shows: every pointer and key belongs to the map below
    this.#handle.className = "handle";
    box.replaceChildren(this.#cut, this.#handle);
    this.#upper = new Stage(this.#cut, settings);
    this.#follow = () => {
      const { map } = this.#lower;
      this.#upper.map.jumpTo({ center: map.getCenter(), zoom: map.getZoom() });
    };
    lower.map.on("move", this.#follow);
    this.#follow();
    this.#drag(moved);
  }

  show(tiles: TileJson, smooth: boolean): Promise<void> {
    return this.#upper.showTiles(LAYER, tiles, smooth);
  }

  /** Put the divider at a share (0-1) of the width; left of it the upper map is seen. */
  moveTo(share: number): void {
    this.#cut.style.setProperty("clip-path", `inset(0 ${100 * (1 - share)}% 0 0)`);
    this.#handle.style.setProperty("left", `${100 * share}%`);
  }

  end(): void {
    this.#lower.map.off("move", this.#follow);
    this.#upper.map.remove();
    this.#box.replaceChildren();
  }

  #drag(moved: (share: number) => void): void {
    this.#handle.addEventListener("pointerdown", (event) => this.#handle.setPointerCapture(event.pointerId));
    this.#handle.addEventListener("pointermove", (event) => {
      if (!this.#handle.hasPointerCapture(event.pointerId)) return;
      const { left, width } = this.#box.getBoundingClientRect();
      moved(Math.min(1, Math.max(0, (event.clientX - left) / width)));
    });
  }
}
