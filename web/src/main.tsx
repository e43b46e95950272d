/** The page: a panel that tells and asks, and the map beside it. */

import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { askForKey, key } from "./api/key";
import { type Problem, problemOf } from "./api/problem";
import { ComparePage } from "./compare/page";
import { NewPage } from "./form/page";
import { JobPage } from "./job/page";
import { JobsPage } from "./jobs/page";
import { KeyDialog } from "./parts/keydialog";
import { ProblemBox } from "./parts/problem";
import { hashOf, type Route, route } from "./route";
import { processes, readProcesses, readSettings, settings } from "./settings";
import { raise } from "./stagehand";
import "./style/page.css";
import "./style/map.css";
import "./style/form.css";
import "./style/result.css";
import { texts } from "./texts";

function App() {
  const box = useRef<HTMLDivElement>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const begin = () => {
    setProblem(null);
    readSettings()
      .then((told) => {
        if (box.current && !box.current.hasChildNodes()) void raise(box.current, told);
        return readProcesses();
      })
      .catch((error: unknown) => setProblem(problemOf(error)));
  };
  useEffect(begin, []);
  const first = useRef(true);
  useEffect(() => {
    const panel = document.getElementById("panel");
    if (!first.current) panel?.focus({ preventScroll: true });
    panel?.scrollTo(0, 0);
    scrollTo(0, 0);
    first.current = false;
  }, [route.value]);
  const ready = Object.keys(processes.value).length > 0;
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById("panel")?.focus()}>
        {texts.skip}
      </button>
      <Header />
      <main id="panel" tabIndex={-1}>
        {problem && <ProblemBox problem={problem} retry={begin} />}
        {!ready && !problem && <p class="note">{texts.loading}</p>}
        {ready && <View at={route.value} />}
        <Footer />
      </main>
      <section class="map" aria-label={texts.map.label}>
        <div id="map" ref={box} />
        <div id="swipe" aria-hidden="true" />
      </section>
      <KeyDialog />
    </>
  );
}

function View({ at }: { at: Route }) {
  switch (at.page) {
    case "new":
      return <NewPage />;
    case "jobs":
      return <JobsPage />;
    case "job":
      return <JobPage key={at.job} job={at.job} />;
    case "compare":
      return <ComparePage key={at.jobs.join()} jobs={at.jobs} />;
    default:
      return <p class="note">{texts.problems.noSuchPage}</p>;
  }
}

function Header() {
  const at = route.value.page;
  const links = [
    { page: "new", label: texts.nav.start },
    { page: "jobs", label: texts.nav.jobs },
  ] as const;
  return (
    <header class="top">
      <a class="name" href={hashOf({ page: "new" })}>
        <img src="./icon.svg" alt="" width={24} height={24} />
        {texts.name}
      </a>
      <nav aria-label={texts.nav.main}>
        {links.map(({ page, label }) => (
          <a key={page} href={hashOf({ page })} aria-current={at === page ? "page" : undefined}>
            {label}
          </a>
        ))}
        {(settings.value?.auth === "keys" || key.value) && (
          <button type="button" class="quiet" onClick={() => void askForKey("changing")}>
            {texts.nav.key}
          </button>
        )}
      </nav>
    </header>
  );
}

function Footer() {
  return (
    <footer>
      {settings.value && texts.footer.version(settings.value.version)} · <a href="./docs">{texts.footer.contract}</a>
    </footer>
  );
}

// A file that misses its field would replace the page, and with it all that was entered.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());

const root = document.getElementById("app");
if (root) render(<App />, root);
