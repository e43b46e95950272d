// The wall: pictures of masks, sixty at a time, some of them selected, one with the focus.

import { el, fill, styled } from "./dom.js";

const PAGE = 60;
const COLUMNS = 10; // of the picture; the page has as many as fit
const CELL = 96;
const GAP = 8;

export class Wall {
  constructor(session, onchange) {
    this.session = session;
    this.onchange = onchange;
    this.masks = [];
    this.selected = new Set();
    this.first = 0; // mask at the head of the page
    this.at = 0; // mask with the focus
    this.shows = 0;
    this.pictures = new Map();
    const told = { id: "wall", role: "listbox", "aria-multiselectable": "true", "aria-label": "Masks of the cluster" };
    this.place = el("div", told);
  }

  // Show masks; those without a class are selected.
  async show(masks) {
    this.masks = masks;
    this.first = this.at = 0;
    this.selected = new Set(masks.filter((m) => !m.code).map((m) => m.mask));
    this.#forget();
    await this.draw();
  }

  get chosen() {
    return this.masks.filter((m) => this.selected.has(m.mask));
  }

  get done() {
    return this.masks.every((m) => m.code);
  }

  selectOpen() {
    this.select((m) => !m.code);
  }

  select(wanted) {
    this.selected = new Set(this.masks.filter(wanted).map((m) => m.mask));
    this.mark();
  }

  invert() {
    this.select((m) => !this.selected.has(m.mask));
  }

  toggle(at) {
    const { mask } = this.masks[at] ?? {};
    if (mask === undefined) return;
    if (!this.selected.delete(mask)) this.selected.add(mask);
    this.at = at;
    this.mark();
  }

  turn(by) {
    const first = this.first + by * PAGE;
    if (first < 0 || first >= this.masks.length) return;
    this.first = this.at = first;
    this.draw();
  }

  move(right, down) {
    const columns = Math.max(1, Math.floor((this.place.clientWidth - GAP) / (CELL + GAP)));
    const at = this.at + right + down * columns;
    if (at < 0 || at >= this.masks.length) return;
    this.at = at;
    const first = Math.floor(at / PAGE) * PAGE;
    if (first === this.first) return this.mark();
    this.first = first;
    this.draw();
  }

  async draw() {
    const show = ++this.shows;
    const picture = await this.#picture(this.first);
    if (show !== this.shows) return; // another page was asked for meanwhile
    const shown = this.masks.slice(this.first, this.first + PAGE);
    const cells = shown.map((_, place) => this.#cell(this.first + place, place, picture));
    const pages = Math.ceil(this.masks.length / PAGE);
    fill(this.place, ...cells, pages > 1 ? this.#pager(pages) : null);
    if (!this.masks.length) fill(this.place, el("p", { class: "waiting" }, "There are no masks here."));
    this.mark();
    if (this.masks.length > this.first + PAGE) this.#picture(this.first + PAGE);
  }

  // Show on every cell whether it is selected and which class it has.
  mark() {
    for (const cell of this.place.querySelectorAll(".cell")) this.#markOne(cell, Number(cell.dataset.at));
    this.onchange();
  }

  #markOne(cell, at) {
    const mask = this.masks[at];
    const shown = mask.code || mask.predicted || 0;
    cell.setAttribute("aria-selected", String(this.selected.has(mask.mask)));
    cell.setAttribute("aria-label", this.#told(mask));
    cell.title = this.#told(mask);
    cell.tabIndex = at === this.at ? 0 : -1;
    const chip = cell.firstElementChild;
    chip.textContent = shown ? String(shown) : "";
    chip.className = mask.code ? "chip" : "chip guessed";
    styled(chip, { "--colour": shown ? this.session.classOf(shown).colour : "transparent" });
    const typing = ["INPUT", "SELECT"].includes(document.activeElement?.tagName);
    if (at === this.at && !typing && !document.querySelector("dialog[open]")) cell.focus();
  }

  #cell(at, place, picture) {
    const made = el("div", { class: "cell", role: "option", "data-at": at, onclick: () => this.toggle(at) });
    const left = (place % COLUMNS) * CELL;
    const top = Math.floor(place / COLUMNS) * CELL;
    styled(made, { "background-image": `url(${picture})`, "background-position": `-${left}px -${top}px` });
    made.append(el("span", { class: "chip" }));
    return made;
  }

  #told(mask) {
    const parts = [`mask ${mask.mask}, ${mask.area} pixels`];
    if (mask.code) parts.push(`${this.session.classOf(mask.code).name}${mask.who ? `, said ${mask.who}` : ""}`);
    if (mask.predicted) parts.push(`classifier: ${this.session.classOf(mask.predicted).name}, ${mask.confidence} %`);
    return parts.join(" · ");
  }

  #pager(pages) {
    const page = this.first / PAGE;
    const turn = (by, text, end) => el("button", { type: "button", disabled: end, onclick: () => this.turn(by) }, text);
    return el(
      "div",
      { class: "pager" },
      turn(-1, "← Page up", page === 0),
      el("span", {}, `page ${page + 1} of ${pages}`),
      turn(1, "Page down →", page === pages - 1),
    );
  }

  // Every page's picture is asked for once, the next one while this one is looked at.
  #picture(first) {
    if (!this.pictures.has(first)) {
      const numbers = this.masks.slice(first, first + PAGE).map((m) => m.mask);
      const asked = numbers.length ? this.session.api.picture(`/wall?columns=${COLUMNS}&masks=${numbers}`) : "";
      this.pictures.set(first, asked);
    }
    return this.pictures.get(first);
  }

  #forget() {
    const gone = [...this.pictures.values()];
    this.pictures.clear();
    Promise.allSettled(gone).then((all) => all.forEach((one) => one.value && URL.revokeObjectURL(one.value)));
  }
}
