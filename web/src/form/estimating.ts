/** Keeps an estimate of the draft at hand: asked for afresh a moment after each change. */

import { effect, signal } from "@preact/signals";
import { ask, isAbort } from "../api/client";
import { problemOf } from "../api/problem";
import type { Estimate, Inputs, StatusInfo } from "../api/types";
import { processes } from "../settings";
import { inputsOf } from "./asking";
import { type Draft, draft, missing } from "./draft";
import { refused } from "./faults";

const CALM_MILLISECONDS = 500;

export const estimate = signal<Estimate | null>(null);
export const estimating = signal(false);

let running = new AbortController();
let last = "";

/** Begin to estimate whatever is drafted; returns what ends it. */
export function keepEstimating(): () => void {
  const stop = effect(() => {
    const told = draft.value;
    const text = JSON.stringify([told.product, asked({ ...told, title: "" })]);
    if (text === last) return;
    last = text;
    running.abort();
    running = new AbortController();
    estimate.value = null;
    refused.value = null;
    estimating.value = missing(told).length === 0;
    if (estimating.value) void afterAWhile(told, running.signal);
  });
  return () => {
    running.abort();
    last = "";
    stop();
  };
}

async function afterAWhile(told: Draft, signal: AbortSignal): Promise<void> {
  try {
    await new Promise((done) => setTimeout(done, CALM_MILLISECONDS));
    signal.throwIfAborted();
    const body = { inputs: asked(told) };
    estimate.value = await ask<Estimate>(`processes/${told.product}/estimate`, { method: "POST", body, signal });
  } catch (error) {
    if (isAbort(error)) return;
    refused.value = problemOf(error);
  }
  estimating.value = false;
}

function asked(told: Draft): Inputs {
  return inputsOf(told, processes.value[told.product]);
}

const attempt = { body: "", key: "" };

/** Start the job. The same request keeps its key, so that pressing twice, or again after a lost answer, is once. */
export async function start(told: Draft): Promise<StatusInfo> {
  const body = { inputs: asked(told) };
  const text = JSON.stringify(body);
  if (text !== attempt.body) Object.assign(attempt, { body: text, key: freshKey() });
  const headers = { "Idempotency-Key": attempt.key, Prefer: "respond-async" };
  const path = `processes/${told.product}/execution`;
  const status = await ask<StatusInfo>(path, { method: "POST", body, headers });
  attempt.body = "";
  return status;
}

/** crypto.randomUUID is missing where a page does not come over HTTPS. */
function freshKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
}
