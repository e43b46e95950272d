/** How a job goes: what it does now, how many of its blocks are mapped, and a way to cancel it. */

import type { StatusInfo } from "../api/types";
import { number } from "../format";
import { texts } from "../texts";
import { EndButton } from "./end";

export function ProgressPart({ status, set }: { status: StatusInfo; set: (status: StatusInfo) => void }) {
  const { done, total } = status.blocks;
  return (
    <section class="progress" aria-label={texts.job.states[status.status]}>
      <progress value={status.progress} max={100} aria-label={status.message} />
      <p role="status">
        <b>{status.progress} %</b> {status.message}
      </p>
      {total > 0 && (
        <p>
          {texts.job.blocks(number(done), number(total))}. <small>{texts.job.draft}</small>
        </p>
      )}
      <p class="help">{texts.job.bookmark}</p>
      <EndButton status={status} set={set} kind="cancel" />
    </section>
  );
}
