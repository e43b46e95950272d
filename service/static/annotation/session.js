// What both pages share: the project at its newest version, saving with undo, and what others do meanwhile.

import { Api } from "./api.js";

const POLL = 5000;
const WHO = "cityzones-annotator";

export class Session extends EventTarget {
  constructor(job) {
    super();
    this.job = job;
    this.api = new Api(job);
    this.project = null;
    this.mine = []; // versions that this page saved and may take back, newest last
    this.saving = 0;
  }

  get who() {
    return localStorage.getItem(WHO) ?? "";
  }

  set who(name) {
    localStorage.setItem(WHO, name.trim().slice(0, 60));
  }

  classOf(code) {
    return this.project.classes.find((c) => c.code === code);
  }

  async load() {
    const before = this.project?.version;
    this.project = await this.api.json("");
    this.#tell("project");
    if (before !== undefined && before !== this.project.version) this.#tell("changed");
  }

  // Save an edit of one who saw version `base`; returns the version it made, or null where others saved in between.
  async save(edit, base) {
    this.saving += 1;
    this.#tell("saving");
    try {
      const saved = await this.api.save(edit, base, this.who || "annotator");
      if (edit.kind !== "undo") this.mine.push(saved.version);
      return saved.version === base + 1 ? saved.version : null;
    } finally {
      this.saving -= 1;
      this.#tell("saving");
    }
  }

  // Take back the newest edit of this page; returns its version, or null where there is none.
  async undo() {
    const version = this.mine.at(-1);
    if (version === undefined) return null;
    await this.save({ kind: "undo", version }, this.project.version);
    this.mine.pop();
    return version;
  }

  // Run what may be refused, and tell why it was; undefined then.
  async guarded(act) {
    try {
      return await act();
    } catch (problem) {
      this.#tell("problem", problem);
      return undefined;
    }
  }

  // Say something for a while; `undoable` where U would take it back.
  tell(text, undoable = false) {
    this.#tell("told", { text, undoable });
  }

  // Lead to another part of the project: "n/3", "tile/0".
  go(part) {
    location.hash = `${this.job}/${part}`;
  }

  // Look now and then for what others do, while somebody looks at this page.
  watch() {
    setInterval(async () => {
      if (document.hidden || this.saving) return;
      await this.guarded(() => this.load());
    }, POLL);
  }

  #tell(what, detail = null) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}
