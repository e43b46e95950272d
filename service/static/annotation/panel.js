// A panel that shows a picture of a tile: wheel and +/- come nearer, dragging moves, a click tells its place.

import { el } from "./dom.js";

const NEAREST = 16;
const STILL = 4; // pixels a hand may tremble in a click

export class View {
  constructor(width, height) {
    Object.assign(this, { width, height, scale: 0, x: 0, y: 0, panels: [] });
  }

  // Show the whole tile.
  fit() {
    const [panel] = this.panels;
    this.scale = Math.min(panel.canvas.clientWidth / this.width, panel.canvas.clientHeight / this.height);
    this.x = (panel.canvas.clientWidth - this.width * this.scale) / 2;
    this.y = (panel.canvas.clientHeight - this.height * this.scale) / 2;
    this.draw();
  }

  // Come nearer to a place of the panel, or step back from it.
  zoom(factor, x, y) {
    const least = Math.min(this.panels[0].canvas.clientWidth / this.width, 1) / 2;
    const scale = Math.min(NEAREST, Math.max(least, this.scale * factor));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.draw();
  }

  move(x, y) {
    this.x += x;
    this.y += y;
    this.draw();
  }

  // Bring a place of the tile into sight.
  reach({ x, y }) {
    const { clientWidth, clientHeight } = this.panels[0].canvas;
    const [left, top] = [x * this.scale + this.x, y * this.scale + this.y];
    if (left < 0 || left > clientWidth) this.x = clientWidth / 2 - x * this.scale;
    if (top < 0 || top > clientHeight) this.y = clientHeight / 2 - y * this.scale;
    this.draw();
  }

  draw() {
    for (const panel of this.panels) panel.draw();
  }
}

export class Panel {
  // `layers` are pictures drawn one above the other; `pick` is told the place in the tile that is clicked on.
  constructor(view, name, layers, pick) {
    Object.assign(this, { view, layers, pick });
    this.canvas = el("canvas", { role: "img", "aria-label": name, tabindex: 0 });
    this.canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => this.#hold(event));
    view.panels.push(this);
  }

  draw() {
    const { canvas, view } = this;
    const dense = devicePixelRatio;
    canvas.width = canvas.clientWidth * dense;
    canvas.height = canvas.clientHeight * dense;
    const context = canvas.getContext("2d");
    context.setTransform(view.scale * dense, 0, 0, view.scale * dense, view.x * dense, view.y * dense);
    context.imageSmoothingEnabled = view.scale < 1;
    for (const layer of this.layers) context.drawImage(layer, 0, 0);
  }

  #wheel(event) {
    event.preventDefault();
    this.view.zoom(event.deltaY < 0 ? 1.25 : 0.8, event.offsetX, event.offsetY);
  }

  #hold(start) {
    const { canvas, view } = this;
    let moved = 0;
    const move = (event) => {
      moved += Math.abs(event.movementX) + Math.abs(event.movementY);
      if (moved > STILL) view.move(event.movementX, event.movementY);
    };
    const leave = () => {
      canvas.removeEventListener("pointermove", move);
      canvas.removeEventListener("pointerup", leave);
      const place = { x: (start.offsetX - view.x) / view.scale, y: (start.offsetY - view.y) / view.scale };
      if (moved <= STILL) this.pick(place);
    };
    canvas.setPointerCapture(start.pointerId);
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerup", leave);
  }
}
