// The cluster page: neighbourhoods and clusters at the left, the wall of the chosen cluster's masks beside them.

import { byId, el, fill, percent } from "./dom.js";
import { ClusterList, entriesOf, sameEntry } from "./list.js";
import { Wall } from "./wall.js";

const FETCHED = 200;

export class ClustersPage {
  constructor(session, root) {
    this.session = session;
    this.root = root;
    this.number = 0; // of the neighbourhood
    this.entries = [];
    this.chosen = null;
    this.base = 0; // the version that this page shows
    this.asked = 0;
    this.wall = new Wall(session, () => this.#drawStatus());
    this.list = new ClusterList(session, (entry) => this.open(entry));
  }

  // The tile that the neighbourhood is of.
  get tile() {
    return this.session.project.neighbourhoods[this.number]?.tile ?? 0;
  }

  async show(number) {
    this.number = Number(number ?? this.#firstUnfinished());
    this.chosen = null;
    this.root.className = "clusters";
    fill(this.root, this.list.place, this.wall.place);
    await this.reload();
    await this.open(this.#nextOpen());
  }

  // Ask for the clusters again; the chosen one stays chosen where it still stands.
  async reload() {
    const found = await this.session.api.json(`/neighbourhoods/${this.number}`);
    this.entries = found.clusters.flatMap((cluster, place) => entriesOf(cluster, place + 1));
    this.list.draw(this.number, this.entries, this.chosen);
  }

  async open(entry) {
    const ask = ++this.asked;
    const [masks, version] = entry ? await this.#masksOf(entry) : [[], this.session.project.version];
    if (ask !== this.asked) return; // another cluster was chosen meanwhile
    this.chosen = entry ?? null;
    this.base = version;
    this.list.draw(this.number, this.entries, this.chosen);
    await this.wall.show(masks);
  }

  key(event) {
    const acts = {
      ArrowRight: () => this.wall.move(1, 0),
      ArrowLeft: () => this.wall.move(-1, 0),
      ArrowDown: () => this.wall.move(0, 1),
      ArrowUp: () => this.wall.move(0, -1),
      PageDown: () => this.wall.turn(1),
      PageUp: () => this.wall.turn(-1),
      " ": () => this.wall.toggle(this.wall.at),
      a: () => this.wall.select(() => true),
      n: () => this.wall.select(() => false),
      i: () => this.wall.invert(),
      s: () => this.split(),
      y: () => this.accept(),
      j: () => this.step(1),
      k: () => this.step(-1),
    };
    if (/^[0-9]$/.test(event.key)) this.label(Number(event.key));
    else if (event.key in acts) acts[event.key]();
    else return false;
    return true;
  }

  async label(code) {
    const masks = [...this.wall.selected];
    if (!masks.length) return this.session.tell("No mask is selected: A selects all.");
    const name = code ? this.session.classOf(code).name : "no class";
    await this.#save([{ kind: "label", masks, code, source: "cluster" }], `${masks.length} masks → ${name}`);
  }

  // Give each selected mask the class that the classifier says.
  async accept() {
    const chosen = this.wall.chosen.filter((m) => m.predicted);
    const masksOf = (code) => chosen.filter((m) => m.predicted === code).map((m) => m.mask);
    const codes = [...new Set(chosen.map((m) => m.predicted))];
    const edits = codes.map((code) => ({ kind: "label", masks: masksOf(code), code, source: "model" }));
    if (!edits.length) return this.session.tell("The classifier says nothing of these masks.");
    await this.#save(edits, `${chosen.length} suggestions accepted`);
  }

  async split() {
    if (!this.chosen || this.chosen.size < 2) return this.session.tell("A single mask cannot be split.");
    const edit = { kind: "split", neighbourhood: this.number, node: this.chosen.node };
    const before = new Set(this.entries.map((entry) => entry.node));
    const saved = await this.session.guarded(() => this.session.save(edit, this.base));
    if (saved === undefined) return this.refresh();
    await Promise.all([this.session.load(), this.reload()]);
    await this.open(this.entries.find((entry) => !before.has(entry.node)) ?? this.#nextOpen());
    this.session.tell("The cluster is split in two.", true);
  }

  // Look at everything again: after an undo, or where a save was refused.
  async refresh() {
    const place = this.#place();
    await Promise.all([this.session.load(), this.reload()]);
    const again = this.entries.find((entry) => sameEntry(entry, this.chosen));
    await this.open(again ?? this.entries[Math.max(0, Math.min(place, this.entries.length - 1))]);
  }

  // Others saved something: the list tells; the wall stays, so that nobody loses a selection.
  changed() {
    return this.reload();
  }

  step(by) {
    const entry = this.entries[this.#place() + by];
    if (entry) this.open(entry);
  }

  async #masksOf(entry) {
    const place = `/neighbourhoods/${this.number}/clusters/${entry.node}`;
    const group = entry.predicted === null ? "" : `&predicted=${entry.predicted}`;
    const ask = (offset) => this.session.api.json(`${place}?limit=${FETCHED}&offset=${offset}${group}`);
    const first = await ask(0);
    const masks = first.masks;
    while (masks.length < first.total) {
      const page = await ask(masks.length);
      if (!page.masks.length) break;
      masks.push(...page.masks);
    }
    return [masks, first.version];
  }

  async #save(edits, told) {
    let others = false;
    for (const edit of edits) {
      const next = await this.session.guarded(() => this.session.save(edit, this.base));
      if (next === undefined) return this.refresh(); // refused: show what others did meanwhile
      others ||= next === null;
      this.base = next ?? this.base;
      const labelled = new Set(edit.masks);
      for (const mask of this.wall.masks) if (labelled.has(mask.mask)) mask.code = edit.code;
    }
    this.session.tell(told, true);
    if (others) await this.refresh(); // they may have touched this cluster as well
    this.wall.selectOpen();
    await Promise.all([this.session.load(), this.reload()]);
    if (this.wall.done) await this.open(this.#nextOpen() ?? this.chosen);
  }

  #drawStatus() {
    const { chosen, masks } = this.wall;
    const votes = countOf(chosen.map((m) => m.code || m.predicted).filter(Boolean));
    const voices = votes.reduce((sum, [, count]) => sum + count, 0);
    const single = !this.chosen || this.chosen.size < 2;
    fill(
      byId("status"),
      el("span", {}, el("b", {}, `${chosen.length} / ${masks.length}`), " selected"),
      voices ? el("span", {}, "agreement ", el("b", {}, percent(votes[0][1], voices))) : null,
      voices ? el("span", {}, `votes: ${votes.map(([code, n]) => `${this.session.classOf(code).name} ${n}`).join(", ")}`) : null,
      el("span", { class: "grow" }),
      action("All", "A", () => this.wall.select(() => true)),
      action("None", "N", () => this.wall.select(() => false)),
      action("Others", "I", () => this.wall.invert()),
      action("Accept suggestions", "Y", () => this.accept(), !this.session.project.predictions),
      action("Split", "S", () => this.split(), single),
    );
  }

  #place() {
    return this.entries.findIndex((entry) => sameEntry(entry, this.chosen));
  }

  #nextOpen() {
    const after = this.#place() + 1;
    const order = [...this.entries.slice(after), ...this.entries.slice(0, after)];
    return order.find((entry) => entry.labelled < entry.masks) ?? order[0];
  }

  #firstUnfinished() {
    return this.session.project.neighbourhoods.find((n) => n.labelled < n.masks)?.neighbourhood ?? 0;
  }
}

function countOf(codes) {
  const counts = new Map();
  for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]);
}

export function action(text, key, act, disabled = false) {
  return el("button", { type: "button", onclick: act, disabled, title: `${text} (${key})` }, text, " ", el("kbd", {}, key));
}
