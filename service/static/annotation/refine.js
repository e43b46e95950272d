// The refinement page: a tile's image, the classes of its masks, and the corrections made here.

import { byId, el, fill, percent, styled } from "./dom.js";
import { Panel, View } from "./panel.js";
import { Raster } from "./raster.js";

export class RefinePage {
  constructor(session, root) {
    this.session = session;
    this.root = root;
    this.chosen = 0; // of the chosen mask in this tile, 0 for none
    this.corrections = []; // { label, mask, version }, newest first
    this.resized = new ResizeObserver(() => this.view?.scale && this.view.draw());
    this.side = el("div", { id: "corrections" });
  }

  // The first neighbourhood of the tile.
  get neighbourhood() {
    return this.session.project.neighbourhoods.findIndex((n) => n.tile === this.tile);
  }

  async show(number) {
    this.tile = Number(number ?? 0);
    const facts = this.session.project.tiles[this.tile];
    if (!facts) throw new Error(`the project has no tile ${this.tile + 1}`);
    this.root.className = "refine";
    fill(this.root, el("p", { class: "waiting" }, `Loading ${facts.name} …`));
    const [raster, state] = await Promise.all([Raster.load(this.session.api, this.tile), this.#state()]);
    this.raster = raster;
    this.#take(state);
    this.view = new View(raster.width, raster.height);
    const pick = (place) => this.choose(raster.at(place.x, place.y));
    const image = new Panel(this.view, `Image of ${facts.name}`, [raster.image, raster.rim], pick);
    const map = new Panel(this.view, `Classes of ${facts.name}`, [raster.map, raster.rim], pick);
    fill(this.root, this.#panel("Image", image), this.#panel("Classes", map), this.side);
    this.resized.observe(image.canvas);
    this.#paint();
    this.view.fit();
    this.#drawSide();
  }

  leave() {
    this.resized.disconnect();
  }

  key(event) {
    const moves = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    const { clientWidth, clientHeight } = this.view?.panels[0].canvas ?? {};
    const acts = {
      j: () => this.step(1),
      k: () => this.step(-1),
      y: () => this.#guessOf(this.chosen) && this.label(this.#guessOf(this.chosen), "model"),
      "+": () => this.view.zoom(1.25, clientWidth / 2, clientHeight / 2),
      "-": () => this.view.zoom(0.8, clientWidth / 2, clientHeight / 2),
      Escape: () => this.choose(0),
    };
    if (!this.view) return false;
    if (event.key in moves) this.#go(...moves[event.key]);
    else if (/^[0-9]$/.test(event.key)) this.label(Number(event.key));
    else if (event.key in acts) acts[event.key]();
    else return false;
    return true;
  }

  choose(label) {
    this.chosen = label;
    const middle = this.raster.outline(label);
    if (middle) this.view.reach(middle);
    this.view.draw();
    this.#drawSide();
  }

  async label(code, source = "manual") {
    if (!this.chosen) return this.session.tell("Choose a mask first: click on it.");
    await this.#correct(this.chosen, code, source);
  }

  step(by) {
    const next = this.tile + by;
    if (this.session.project.tiles[next]) this.session.go(`tile/${next}`);
  }

  // Look at the classes again: after an undo, or after what others did.
  async refresh() {
    await this.session.load();
    await this.changed();
  }

  async changed() {
    if (!this.view) return;
    this.#take(await this.#state());
    this.#paint();
    this.view.draw();
    this.#drawSide();
  }

  #state() {
    return this.session.api.json(`/tiles/${this.tile}`);
  }

  #take(state) {
    this.state = state;
    this.base = state.version;
  }

  async #correct(label, code, source) {
    const mask = this.state.first + label - 1;
    const edit = { kind: "label", masks: [mask], code, source };
    const before = this.session.mine.length;
    const next = await this.session.guarded(() => this.session.save(edit, this.base));
    if (next !== undefined) {
      const version = this.session.mine[before];
      this.corrections = [{ label, mask, version }, ...this.corrections.filter((c) => c.label !== label)];
      this.session.tell(`mask ${mask} → ${code ? this.session.classOf(code).name : "no class"}`, true);
    }
    await this.refresh();
  }

  #guessOf(label) {
    return label ? (this.state.predicted?.[label - 1] ?? 0) : 0;
  }

  #paint() {
    const rgb = new Map(this.session.project.classes.map((c) => [c.code, rgbOf(c.colour)]));
    const codes = this.state.codes.map((code, n) => code || (this.state.predicted?.[n] ?? 0));
    this.raster.paint([null, ...codes.map((code) => rgb.get(code) ?? null)], [false, ...this.state.codes.map(Boolean)]);
  }

  // Go from the chosen mask to the next one in a direction; without one, to the one in the middle of the panel.
  #go(right, down) {
    const { canvas } = this.view.panels[0];
    const middle = this.raster.outline(this.chosen) ?? {
      x: (canvas.clientWidth / 2 - this.view.x) / this.view.scale,
      y: (canvas.clientHeight / 2 - this.view.y) / this.view.scale,
    };
    for (let far = this.chosen ? 1 : 0; far < Math.max(this.raster.width, this.raster.height); far++) {
      const found = this.raster.at(middle.x + right * far, middle.y + down * far);
      if (found && found !== this.chosen) return this.choose(found);
    }
  }

  #panel(title, panel) {
    return el("section", {}, el("h2", {}, title), panel.canvas);
  }

  #drawSide() {
    const { tiles } = this.session.project;
    const options = tiles.map((t) =>
      el("option", { value: t.tile, selected: t.tile === this.tile }, `${t.tile + 1} · ${t.name} · ${percent(t.labelled, t.masks)}`),
    );
    const go = (event) => this.session.go(`tile/${event.target.value}`);
    fill(
      this.side,
      el("h2", {}, "Tile"),
      el("select", { id: "tile", "aria-label": "Tile", onchange: go }, ...options),
      el("h2", {}, "Chosen mask"),
      this.#chosenFacts(),
      el("h2", {}, "Corrections"),
      this.corrections.length ? null : el("p", { class: "small" }, "None yet: click on a mask and press its class."),
      el("ol", {}, ...this.corrections.map((c) => this.#correction(c))),
    );
    const done = this.state.codes.filter(Boolean).length;
    fill(
      byId("status"),
      el("span", {}, el("b", {}, `${done} / ${this.state.codes.length}`), " masks of this tile labelled"),
      el("span", { class: "grow" }),
      el("span", {}, "faded: only the classifier says so"),
    );
  }

  #chosenFacts() {
    const n = this.chosen - 1;
    if (n < 0) return el("p", { class: "small" }, "Click on a mask in either panel.");
    const code = this.state.codes[n];
    const guess = this.#guessOf(this.chosen);
    const told = guess ? `classifier: ${this.session.classOf(guess).name}, ${this.state.confidence[n]} %` : null;
    return el(
      "div",
      { class: "chosen" },
      el("p", {}, `mask ${this.state.first + n}, ${this.state.areas[n]} pixels`),
      this.#picker(this.chosen, code),
      told ? el("p", { class: "small" }, told) : null,
    );
  }

  #correction(correction) {
    const look = () => this.choose(correction.label);
    const swatch = this.session.classOf(this.state.codes[correction.label - 1]);
    return el(
      "li",
      {},
      styled(el("i"), { background: swatch?.colour ?? "transparent" }),
      el("button", { type: "button", class: "plain", onclick: look }, `mask ${correction.mask}`),
      this.#picker(correction.label, this.state.codes[correction.label - 1]),
      el("button", { type: "button", title: "Delete this correction", "aria-label": `Delete the correction of mask ${correction.mask}`, onclick: () => this.#drop(correction) }, "✕"),
    );
  }

  async #drop(correction) {
    const edit = { kind: "undo", version: correction.version };
    const done = await this.session.guarded(() => this.session.save(edit, this.base));
    if (done !== undefined) {
      this.corrections = this.corrections.filter((c) => c !== correction);
      this.session.mine = this.session.mine.filter((version) => version !== correction.version);
    }
    await this.refresh();
  }

  #picker(label, code) {
    const options = [{ code: 0, name: "no class" }, ...this.session.project.classes].map((c) =>
      el("option", { value: c.code, selected: c.code === code }, c.code ? `${c.code} ${c.name}` : c.name),
    );
    const change = (event) => this.#correct(label, Number(event.target.value), "manual");
    return el("select", { "aria-label": "Class of the mask", onchange: change }, ...options);
  }
}

const rgbOf = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
