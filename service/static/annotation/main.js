// Starts the pages: the project and the part of it that the address names, "#job_…/n/3" or "#job_…/tile/0".

import { keepKey } from "./api.js";
import { ClustersPage } from "./clusters.js";
import { byId, el, fill, percent, styled } from "./dom.js";
import { RefinePage } from "./refine.js";
import { Session } from "./session.js";

const TOLD = 6000;
let session = null;
let page = null;
let forgetting = 0;

function say(text, kind = "") {
  clearTimeout(forgetting);
  const place = byId("told");
  place.className = kind;
  place.textContent = text;
  if (kind !== "bad") forgetting = setTimeout(() => place.replaceChildren(), TOLD);
}

function complain(problem) {
  if (problem.status === 401) return askForKey();
  say(`${problem.message}${problem.advice ? ` ${problem.advice}` : ""}`, "bad");
}

function askForKey() {
  const dialog = byId("key");
  if (!dialog.open) dialog.showModal();
}

function drawHeader() {
  const { project } = session;
  byId("title").textContent = project.title;
  document.title = `${project.title} · Cityzones annotation`;
  const share = percent(project.labelled, project.masks);
  styled(byId("bar"), { width: `${(100 * project.labelled) / Math.max(project.masks, 1)}%` });
  byId("progress").setAttribute("aria-label", `${share} of the masks are labelled`);
  const clicks = project.clicks_per_mask;
  fill(
    byId("facts"),
    ...fact("labelled", `${project.labelled} / ${project.masks} · ${share}`),
    ...fact("area", percent(project.labelled_pixels, project.pixels)),
    ...fact("clicks per mask", clicks === undefined ? "–" : clicks.toFixed(3)),
    ...fact("version", String(project.version)),
  );
  byId("undo").disabled = !session.mine.length;
  fill(byId("classes"), el("h2", {}, "Classes"), ...project.classes.map(classButton));
}

function fact(name, value) {
  return [el("dt", {}, name), el("dd", {}, value)];
}

function classButton(one) {
  const swatch = styled(el("i"), { background: one.colour });
  const label = () => page?.label(one.code);
  return el(
    "button",
    { type: "button", "data-code": one.code, onclick: label, title: `${one.name}: ${one.masks} masks` },
    el("kbd", {}, String(one.code)),
    swatch,
    el("span", {}, one.name),
    el("small", {}, String(one.masks)),
  );
}

async function undo() {
  const version = await session.guarded(() => session.undo());
  if (version === null) return say("There is nothing of yours to take back.");
  if (version === undefined) return;
  await page.refresh();
  say(`Version ${version} is taken back.`);
}

// Let a classifier learn from what is labelled, and show what it suggests.
async function suggest() {
  const button = byId("suggest");
  if (button.disabled) return;
  button.disabled = true;
  say("Learning from the labels …");
  const done = await session.guarded(() => session.api.follow("annotation-classification"));
  button.disabled = false;
  if (!done) return;
  await page.refresh();
  say("Suggestions are in: clusters are shown by what is suggested, Y accepts.", "good");
}

async function makeExport() {
  const button = byId("make");
  button.disabled = true;
  byId("made").textContent = "Writing images and labels …";
  fill(byId("links"));
  const inputs = { predictions: byId("with-suggestions").checked, least_confidence: Number(byId("least").value) };
  try {
    const made = await session.api.follow("annotation-export", inputs);
    const links = Object.values(made).map((one) =>
      el("li", {}, el("a", { href: one.href, download: one.filename }, one.filename), ` ${one.title}`),
    );
    byId("made").textContent = "Ready; the links work for a while.";
    fill(byId("links"), ...links);
  } catch (problem) {
    byId("made").textContent = problem.message;
  } finally {
    button.disabled = false;
  }
}

async function show() {
  const [job, part, number] = location.hash.slice(1).split("/");
  if (!/^job_[0-9a-z]{26}$/.test(job)) return say("The address names no project: …/annotate#job_…", "bad");
  if (session?.job !== job) begin(job);
  if (!session.project) await session.load();
  const kind = part === "tile" ? RefinePage : ClustersPage;
  page?.leave?.();
  page = new kind(session, byId("page"));
  byId("to-clusters").setAttribute("aria-pressed", String(kind === ClustersPage));
  byId("to-refine").setAttribute("aria-pressed", String(kind === RefinePage));
  await page.show(number);
}

function begin(job) {
  session = new Session(job);
  session.addEventListener("project", drawHeader);
  session.addEventListener("changed", () => page?.changed());
  session.addEventListener("told", ({ detail }) => say(detail.text + (detail.undoable ? " · U takes it back" : ""), "good"));
  session.addEventListener("problem", ({ detail }) => complain(detail));
  session.addEventListener("saving", () => document.body.classList.toggle("saving", session.saving > 0));
  byId("who").value = session.who;
  session.watch();
}

function key(event) {
  const typing = event.target.closest("input, select, textarea, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !session?.project) return;
  if (event.key === "u") undo();
  else if (event.key === "r") other();
  else if (event.key === "c") suggest();
  else if (event.key === "e") byId("exported").showModal();
  else if (event.key === "?") byId("keys").showModal();
  else if (event.target.closest("button") && [" ", "Enter"].includes(event.key)) return;
  else if (!page?.key(event)) return;
  event.preventDefault();
}

function other() {
  page instanceof ClustersPage ? session.go(`tile/${page.tile}`) : session.go(`n/${page.neighbourhood}`);
}

addEventListener("hashchange", () => show().catch(complain));
addEventListener("keydown", key);
addEventListener("unhandledrejection", (event) => complain(event.reason));
addEventListener("beforeunload", (event) => session?.saving && event.preventDefault());
byId("to-clusters").addEventListener("click", () => page instanceof RefinePage && other());
byId("to-refine").addEventListener("click", () => page instanceof ClustersPage && other());
byId("undo").addEventListener("click", undo);
byId("suggest").addEventListener("click", suggest);
byId("export").addEventListener("click", () => byId("exported").showModal());
byId("make").addEventListener("click", makeExport);
byId("help").addEventListener("click", () => byId("keys").showModal());
byId("who").addEventListener("change", (event) => session && (session.who = event.target.value));
byId("key").addEventListener("close", () => {
  keepKey(byId("key-text").value);
  byId("key-text").value = "";
  show().catch(complain);
});
show().catch(complain);
