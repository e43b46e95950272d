/** Cancels a running job, or deletes a finished one, after asking whether that is meant. */

import { useState } from "preact/hooks";
import { ask } from "../api/client";
import { type Problem, problemOf } from "../api/problem";
import type { StatusInfo } from "../api/types";
import { ProblemBox } from "../parts/problem";
import { texts } from "../texts";

interface EndProps {
  status: StatusInfo;
  set: (status: StatusInfo) => void;
  kind: "cancel" | "remove";
}

export function EndButton({ status, set, kind }: EndProps) {
  const [sure, setSure] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const end = async () => {
    try {
      set(await ask<StatusInfo>(`jobs/${status.jobID}`, { method: "DELETE" }));
    } catch (error) {
      setProblem(problemOf(error));
    }
    setSure(false);
  };
  if (!sure) {
    return (
      <>
        <button type="button" class="danger" onClick={() => setSure(true)}>
          {texts.job[kind]}
        </button>
        {problem && <ProblemBox problem={problem} />}
      </>
    );
  }
  return (
    <div class="sure" role="alertdialog" aria-label={texts.job[`${kind}Sure`]}>
      <p>{texts.job[`${kind}Sure`]}</p>
      <div class="row">
        <button type="button" class="danger" onClick={() => void end()}>
          {texts.job.yes}
        </button>
        <button type="button" onClick={() => setSure(false)}>
          {texts.job.no}
        </button>
      </div>
    </div>
  );
}
