/** Follows a job by Server-Sent Events, which come with the key in a header: EventSource could not send one. */

import { createParser } from "eventsource-parser";
import { answered, ask, isAbort, sleep } from "./client";
import { Problem } from "./problem";
import type { State, StatusInfo } from "./types";

const PAUSE_MILLISECONDS = 1000;
const LONGEST_PAUSE_MILLISECONDS = 15_000;
/** The service sends a comment every 15 s while it has nothing to tell: a stream that is silent for longer is dead. */
const SILENCE_MILLISECONDS = 45_000;
const ENDED: ReadonlySet<State> = new Set(["successful", "failed", "dismissed"]);

export function hasEnded(status: StatusInfo): boolean {
  return ENDED.has(status.status);
}

/**
 * Call `told` with every status of a job until it has ended; then return the last.
 *
 * A stream that breaks is taken up where it ended, and where none comes through at all the job is asked for instead.
 * `lost` is told whether the service is out of reach at the moment.
 */
export async function follow(
  job: string,
  told: (status: StatusInfo) => void,
  lost: (away: boolean) => void,
  signal: AbortSignal,
): Promise<StatusInfo> {
  const stream: Stream = { last: null, id: "" };
  let pause = PAUSE_MILLISECONDS;
  for (;;) {
    try {
      await listen(job, stream, told, lost, signal).catch(passFinal);
      if (stream.last && hasEnded(stream.last)) return stream.last;
      const now = await ask<StatusInfo>(`jobs/${job}`, { signal });
      lost(false);
      pause = PAUSE_MILLISECONDS;
      told(now);
      if (hasEnded(now)) return now;
    } catch (error) {
      passFinal(error);
      lost(true);
      pause = Math.min(2 * pause, LONGEST_PAUSE_MILLISECONDS);
    }
    await sleep(pause, signal);
  }
}

/** Throw what no further try would mend: nobody waits any more, or the service refuses for good. */
function passFinal(error: unknown): void {
  if (isAbort(error)) throw error;
  if (error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429) throw error;
}

/** What has been heard so far: the last status, and the id to go on from. */
interface Stream {
  last: StatusInfo | null;
  id: string;
}

async function listen(
  job: string,
  stream: Stream,
  told: (status: StatusInfo) => void,
  lost: (away: boolean) => void,
  signal: AbortSignal,
): Promise<void> {
  const parser = createParser({
    onEvent: (event) => {
      stream.last = JSON.parse(event.data) as StatusInfo;
      stream.id = event.id ?? stream.id;
      told(stream.last);
    },
  });
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (stream.id) headers["Last-Event-ID"] = stream.id;
  const answer = await answered(`jobs/${job}/events`, { headers, signal, endless: true });
  lost(false);
  if (!answer.body) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await unlessSilent(reader.read());
      if (done) return;
      parser.feed(value);
    }
  } finally {
    void reader.cancel().catch(() => undefined); // it has broken already, or nobody listens to it any more
  }
}

function unlessSilent<T>(heard: Promise<T>): Promise<T> {
  return new Promise((done, broken) => {
    const timer = setTimeout(() => broken(new Error("silent")), SILENCE_MILLISECONDS);
    heard.then(done, broken).finally(() => clearTimeout(timer));
  });
}
