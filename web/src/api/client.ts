/** Asks the interface: with the key, a time limit, a few retries of what may be repeated, and problems as errors. */

import { texts } from "../texts";
import { askForKey, key, keyHeaders } from "./key";
import { Problem, readProblem } from "./problem";

const LIMIT_MILLISECONDS = 30_000;
const PAUSES_MILLISECONDS = [300, 1200];
const BUSY = new Set([429, 503]);

export interface Asking {
  method?: "GET" | "POST" | "DELETE";
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** A stream may go on for as long as it does, once it has begun. */
  endless?: boolean;
}

/** Return the JSON of an answer, or throw its Problem. A path is relative to the page, so that a prefix is kept. */
export async function ask<T>(path: string, asking: Asking = {}): Promise<T> {
  return (await (await answered(path, asking)).json()) as T;
}

/** Return a successful answer. Where the service asks for a key, so does the page, and then asks again. */
export async function answered(path: string, asking: Asking = {}): Promise<Response> {
  const answer = await patiently(path, asking);
  if (answer.ok) return answer;
  const problem = await readProblem(answer);
  if (problem.status !== 401) throw problem;
  if (!(await askForKey(key.value ? "refused" : "missing"))) throw problem;
  return answered(path, asking);
}

async function patiently(path: string, asking: Asking): Promise<Response> {
  const repeatable = (asking.method ?? "GET") === "GET" || "Idempotency-Key" in (asking.headers ?? {});
  for (const pause of repeatable ? PAUSES_MILLISECONDS : []) {
    const answer = await once(path, asking).catch((error: unknown) => keepAborts(error));
    if (answer && !BUSY.has(answer.status)) return answer;
    const told = Number(answer?.headers.get("Retry-After")) * 1000 || 0;
    await sleep(Math.max(pause, Math.min(told, 5000)), asking.signal);
  }
  return once(path, asking).catch((error: unknown) => {
    keepAborts(error);
    throw new Problem(0, { code: "unreachable", detail: texts.problems.unreachable });
  });
}

function once(path: string, { method = "GET", body, headers, signal, endless }: Asking): Promise<Response> {
  const told = { ...keyHeaders(), ...headers, ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  const { over, begun } = limitOf(endless === true);
  return fetch(path, {
    method,
    headers: told,
    signal: AbortSignal.any(signal ? [signal, over] : [over]),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }).finally(begun);
}

/** Return the limit of a whole answer or, where that is endless, of the wait for its beginning. */
function limitOf(endless: boolean): { over: AbortSignal; begun: () => void } {
  if (!endless) return { over: AbortSignal.timeout(LIMIT_MILLISECONDS), begun: () => undefined };
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new DOMException("late", "TimeoutError")), LIMIT_MILLISECONDS);
  return { over: late.signal, begun: () => clearTimeout(timer) };
}

/** Pass on that a caller lost interest; any other failure of the network is worth another try. */
function keepAborts(error: unknown): null {
  if (error instanceof DOMException && error.name === "AbortError") throw error;
  return null;
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((done, lost) => {
    const stop = () => {
      clearTimeout(timer);
      lost(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      done();
    }, milliseconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop);
  });
}
