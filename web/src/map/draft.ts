/** Paints the blocks of a running job onto one canvas, each once, as they are finished. */

import { answered } from "../api/client";
import { here } from "../api/here";
import type { Blocks } from "../api/types";

const MOST_PIXELS = 1024;
const AT_ONCE = 6;

export class Draft {
  readonly canvas = document.createElement("canvas");
  readonly #scale: number;
  readonly #painted = new Set<string>();

  constructor(grid: { width: number; height: number }) {
    this.#scale = Math.min(1, MOST_PIXELS / Math.max(grid.width, grid.height));
    this.canvas.width = Math.max(1, Math.round(grid.width * this.#scale));
    this.canvas.height = Math.max(1, Math.round(grid.height * this.#scale));
  }

  /** Paint the blocks that were finished since; a picture that does not come is tried again the next time. */
  async paint(told: Blocks, signal: AbortSignal, after: () => void): Promise<void> {
    const todo = told.blocks.filter((block) => block.done && block.href && !this.#painted.has(block.id));
    const worker = async () => {
      for (let block = todo.shift(); block; block = todo.shift()) {
        await this.#paintOne(block, signal).then(after, () => undefined);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }

  async #paintOne(block: Blocks["blocks"][number], signal: AbortSignal): Promise<void> {
    const answer = await answered(here(block.href ?? ""), { signal });
    const picture = await createImageBitmap(await answer.blob());
    const pen = this.canvas.getContext("2d");
    if (!pen) return;
    pen.imageSmoothingEnabled = false;
    const [x, y, width, height] = [block.column, block.row, block.width, block.height].map((n) => n * this.#scale);
    pen.drawImage(picture, x ?? 0, y ?? 0, width ?? 0, height ?? 0);
    picture.close();
    this.#painted.add(block.id);
  }
}
