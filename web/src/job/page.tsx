/** One job: how it goes, and what it has made. */

import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/client";
import { Problem } from "../api/problem";
import type { JobRequest, StatusInfo } from "../api/types";
import { day, duration, percent, when } from "../format";
import { ProblemBox } from "../parts/problem";
import { useTitle } from "../parts/title";
import { processes } from "../settings";
import { stage } from "../stagehand";
import { texts } from "../texts";
import { AgainButton, shownArea } from "./again";
import { EndButton } from "./end";
import { useDraft, useLive } from "./live";
import { ProgressPart } from "./progress";
import { ResultPart } from "./result";

export function JobPage({ job }: { job: string }) {
  const { status, problem, away, set } = useLive(job);
  const request = useRequest(job);
  useTitle(status ? nameOf(status) : "");
  useDraft(job, status);
  useEffect(() => {
    const area = request && shownArea(request);
    void stage.value?.showArea(area ?? null);
    if (area) stage.value?.fitArea(area);
    return () => void stage.value?.showArea(null);
  }, [request, stage.value]);
  if (problem) return <ProblemBox problem={problem} />;
  if (!status) return <p class="note">{texts.loading}</p>;
  const expired = status.status === "successful" && !status.links.some((link) => link.rel.endsWith("/results"));
  return (
    <>
      <Head status={status} />
      {away && (
        <p class="note" role="status">
          {texts.problems.away}
        </p>
      )}
      {(status.status === "accepted" || status.status === "running") && <ProgressPart status={status} set={set} />}
      {status.status === "failed" && (
        <>
          <h2>{texts.job.failedTitle}</h2>
          <ProblemBox problem={new Problem(0, status.problem ?? { detail: status.message })} />
        </>
      )}
      {status.status === "dismissed" && <p class="note">{texts.job.cancelled}</p>}
      {expired && status.deletes && <p class="note">{texts.job.deleted(day(status.deletes))}</p>}
      <Warnings status={status} />
      {status.status === "successful" && !expired && <ResultPart key={job} status={status} request={request} />}
      <div class="row">
        {request && <AgainButton request={request} />}
        {status.status === "successful" && <EndButton status={status} set={set} kind="remove" />}
      </div>
    </>
  );
}

function nameOf(status: StatusInfo): string {
  return status.title ?? productOf(status);
}

function productOf(status: StatusInfo): string {
  return processes.value[status.processID]?.title ?? status.processID;
}

function Head({ status }: { status: StatusInfo }) {
  const took = status.started && status.finished;
  const seconds = took ? (Date.parse(status.finished ?? "") - Date.parse(status.started ?? "")) / 1000 : 0;
  const facts = [
    status.title ? productOf(status) : "",
    texts.job.created(when(status.created)),
    took ? texts.job.took(duration(seconds)) : "",
    status.coverage === undefined ? "" : texts.job.coverage(percent(status.coverage, 1)),
    status.deletes && status.status === "successful" ? texts.job.deletes(day(status.deletes)) : "",
  ];
  return (
    <header class="jobhead">
      <h1>{nameOf(status)}</h1>
      <p>
        <span class={`state ${status.status}`} role="status">
          {texts.job.states[status.status]}
        </span>{" "}
        {facts.filter(Boolean).join(" · ")}
      </p>
    </header>
  );
}

function Warnings({ status }: { status: StatusInfo }) {
  if (!status.warnings.length) return null;
  return (
    <details class="warnings" open={status.status === "failed"}>
      <summary>
        {texts.job.warnings} ({status.warnings.length})
      </summary>
      <ul>
        {status.warnings.map((warned) => (
          <li key={warned.detail}>{warned.detail}</li>
        ))}
      </ul>
    </details>
  );
}

/** What was asked; a job of which nothing is left has none. */
function useRequest(job: string): JobRequest | null {
  const [request, setRequest] = useState<JobRequest | null>(null);
  useEffect(() => {
    setRequest(null);
    const stop = new AbortController();
    const told = ask<JobRequest>(`jobs/${job}/request`, { signal: stop.signal });
    told.then(setRequest, () => undefined); // the map is shown without its outline then
    return () => stop.abort();
  }, [job]);
  return request;
}
