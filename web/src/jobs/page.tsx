/** The list of all maps, newest first: where one finds again what was started yesterday. */

import { useEffect, useState } from "preact/hooks";
import { ask, isAbort } from "../api/client";
import { type Problem, problemOf } from "../api/problem";
import type { JobList, StatusInfo } from "../api/types";
import { number, when } from "../format";
import { ProblemBox } from "../parts/problem";
import { useTitle } from "../parts/title";
import { goTo, hashOf } from "../route";
import { processes } from "../settings";
import { texts } from "../texts";

const PAGE = 20;
const POLL_MILLISECONDS = 5000;
const STATES = ["accepted", "running", "successful", "failed", "dismissed"];

export function JobsPage() {
  useTitle(texts.jobs.title);
  const [state, setState] = useState("");
  const [chosen, setChosen] = useState<string[]>([]);
  const { jobs, further, problem, more, reload } = useJobs(state);
  const choose = (job: string) =>
    setChosen((all) => (all.includes(job) ? all.filter((one) => one !== job) : [...all.slice(-1), job]));
  const [first, second] = chosen;
  return (
    <>
      <h1>{texts.jobs.title}</h1>
      <div class="row">
        <label class="inline">
          {texts.jobs.state}{" "}
          <select value={state} onChange={(e) => setState(e.currentTarget.value)}>
            <option value="">{texts.jobs.any}</option>
            {STATES.map((name) => (
              <option key={name} value={name}>
                {texts.job.states[name]}
              </option>
            ))}
          </select>
        </label>
        <button type="button" onClick={reload}>
          {texts.jobs.reload}
        </button>
      </div>
      {problem && <ProblemBox problem={problem} retry={reload} />}
      {jobs?.length === 0 && !state && (
        <p class="note">
          {texts.jobs.none} <a href={hashOf({ page: "new" })}>{texts.jobs.first}</a>
        </p>
      )}
      {jobs?.length === 0 && state && <p class="note">{texts.jobs.none}</p>}
      <ul class="jobs">
        {jobs?.map((status) => (
          <JobRow
            key={status.jobID}
            status={status}
            chosen={chosen.includes(status.jobID)}
            choose={() => choose(status.jobID)}
          />
        ))}
      </ul>
      {further && (
        <button type="button" onClick={more}>
          {texts.jobs.more}
        </button>
      )}
      <p class="help">{texts.jobs.chooseTwo}</p>
      <button
        type="button"
        class="primary"
        disabled={!first || !second}
        onClick={() => first && second && goTo({ page: "compare", jobs: [first, second] })}
      >
        {texts.jobs.compare}
      </button>
    </>
  );
}

function JobRow({ status, chosen, choose }: { status: StatusInfo; chosen: boolean; choose: () => void }) {
  const product = processes.value[status.processID]?.title;
  const name = status.title ?? product ?? status.processID;
  const page = status.links.find((link) => link.rel === "edit")?.href;
  const href = product ? hashOf({ page: "job", job: status.jobID }) : page;
  const going = status.status === "running" ? `, ${number(status.progress)} %` : "";
  return (
    <li>
      {product && status.status === "successful" ? (
        <input type="checkbox" checked={chosen} onChange={choose} aria-label={texts.jobs.choose(name)} />
      ) : (
        <span />
      )}
      <span>
        {href ? <a href={href}>{name}</a> : <b>{name}</b>}
        <small>
          {status.title && product ? `${product} · ` : ""}
          {when(status.created)}
        </small>
      </span>
      <span class={`state ${status.status}`}>
        {texts.job.states[status.status]}
        {going}
      </span>
    </li>
  );
}

interface Jobs {
  jobs: StatusInfo[] | null;
  further: string | null;
  problem: Problem | null;
  more: () => void;
  reload: () => void;
}

/** Return the jobs that were asked for so far, the newest ones kept up to date while some of them run. */
function useJobs(state: string): Jobs {
  const [jobs, setJobs] = useState<StatusInfo[] | null>(null);
  const [further, setFurther] = useState<string | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [turn, setTurn] = useState(0);
  const load = async (query: string, keep: StatusInfo[], signal?: AbortSignal) => {
    try {
      const page = await ask<JobList>(`jobs?${query}`, signal ? { signal } : {});
      setJobs([...keep, ...page.jobs]);
      setFurther(page.links.find((link) => link.rel === "next")?.href.split("?")[1] ?? null);
      setProblem(null);
    } catch (error) {
      if (!isAbort(error)) setProblem(problemOf(error));
    }
  };
  const first = `limit=${PAGE}${state ? `&status=${state}` : ""}`;
  useEffect(() => {
    const stop = new AbortController();
    void load(first, [], stop.signal);
    return () => stop.abort();
  }, [first, turn]);
  const going = jobs?.some((one) => one.status === "running" || one.status === "accepted") && jobs.length <= PAGE;
  useEffect(() => {
    if (!going) return;
    const timer = setTimeout(() => setTurn((n) => n + 1), POLL_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [going, jobs]);
  return {
    jobs,
    further,
    problem,
    more: () => further && void load(further, jobs ?? []),
    reload: () => setTurn((n) => n + 1),
  };
}
