// The list at the left: the neighbourhoods, and the clusters of the one that is open.

import { el, fill, percent, styled } from "./dom.js";

// A cluster is listed whole, or, once there are predictions, in groups "x-y": cluster x, predicted class y.
export function entriesOf(cluster, name) {
  const common = { node: cluster.node, name, size: cluster.masks };
  if (cluster.predicted.length < 2) {
    const guessed = !cluster.votes.length;
    const votes = guessed ? cluster.predicted : cluster.votes;
    return [{ ...common, predicted: null, masks: cluster.masks, labelled: cluster.labelled, votes, guessed }];
  }
  return cluster.predicted.map((group) => ({
    ...common,
    predicted: group.code,
    masks: group.masks,
    labelled: group.labelled,
    votes: [group],
    guessed: group.labelled < group.masks,
  }));
}

export const sameEntry = (one, other) => one?.node === other?.node && one?.predicted === other?.predicted;

export class ClusterList {
  constructor(session, open) {
    this.session = session;
    this.open = open;
    this.place = el("div", { id: "list" });
  }

  draw(number, entries, chosen) {
    const own = this.session.project.neighbourhoods[number];
    fill(
      this.place,
      el("h2", {}, "Neighbourhood"),
      this.#picker(number),
      el("p", { class: "small" }, own ? `${own.labelled} of ${own.masks} masks labelled` : ""),
      el("h2", {}, "Clusters"),
      el("ol", {}, ...entries.map((entry) => el("li", {}, this.#button(entry, sameEntry(entry, chosen))))),
    );
    this.place.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  #picker(number) {
    const { neighbourhoods, tiles } = this.session.project;
    const options = neighbourhoods.map((n) =>
      el(
        "option",
        { value: n.neighbourhood, selected: n.neighbourhood === number },
        `${n.neighbourhood + 1} · ${tiles[n.tile].name} · ${percent(n.labelled, n.masks)}`,
      ),
    );
    const go = (event) => this.session.go(`n/${event.target.value}`);
    return el("select", { id: "neighbourhood", "aria-label": "Neighbourhood", onchange: go }, ...options);
  }

  #button(entry, open) {
    const bar = el("span", { class: "votes" });
    for (const vote of entry.votes) {
      const part = el("i", { class: entry.guessed ? "guessed" : "" });
      bar.append(styled(part, { flex: vote.masks, background: this.session.classOf(vote.code)?.colour ?? "#555" }));
    }
    const rest = entry.masks - entry.votes.reduce((sum, vote) => sum + vote.masks, 0);
    if (rest > 0) bar.append(styled(el("i"), { flex: rest }));
    const group = entry.predicted === null ? "" : `-${this.session.classOf(entry.predicted)?.label}`;
    const done = entry.labelled >= entry.masks ? "done" : "";
    return el(
      "button",
      { type: "button", "aria-current": open ? "true" : null, class: done, onclick: () => this.open(entry) },
      el("b", {}, `${entry.name}${group}`),
      el("span", {}, `${entry.masks} masks`),
      bar,
    );
  }
}
