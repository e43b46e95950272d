/** A problem as people read it: what happened, what to do, and a way to try again. */

import type { Problem } from "../api/problem";
import { texts } from "../texts";

export function ProblemBox({ problem, retry }: { problem: Problem; retry?: () => void }) {
  return (
    <div class="problem" role="alert">
      <strong>{texts.problems.title}</strong>
      <p>{problem.message}</p>
      {problem.errors.length > 0 && (
        <ul>
          {problem.errors.map((fault) => (
            <li key={fault.pointer + fault.detail}>
              <code>{fault.pointer}</code> {fault.detail}
            </li>
          ))}
        </ul>
      )}
      {problem.advice && (
        <p>
          {texts.problems.advice} {problem.advice}
        </p>
      )}
      {retry && (
        <button type="button" onClick={retry}>
          {texts.problems.retry}
        </button>
      )}
    </div>
  );
}
