/** Sends files: small ones with one request, large ones piece by piece (tus), so that a bad line costs a piece only. */

import { texts } from "../texts";
import { ask } from "./client";
import { askForKey, key, keyHeaders } from "./key";
import { Problem } from "./problem";
import type { Upload } from "./types";

const WHOLE_BYTES = 16 * 2 ** 20;
const PIECE_BYTES = 8 * 2 ** 20;
const PAUSES_MILLISECONDS = [0, 1000, 3000, 5000, 10_000];

export type Sent = (share: number) => void;

/** Send a file and return what the service found in it; throws its Problem where it refuses the file. */
export async function send(file: File, sent: Sent, signal: AbortSignal): Promise<Upload> {
  if (file.size === 0) throw new Problem(0, { code: "empty", detail: texts.problems.emptyFile(file.name) });
  for (;;) {
    try {
      return await (file.size > WHOLE_BYTES ? inPieces(file, sent, signal) : whole(file, sent, signal));
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
      if (!(await askForKey(key.value ? "refused" : "missing"))) throw error;
    }
  }
}

/** XMLHttpRequest, as fetch tells nothing of how much has been sent. */
function whole(file: File, sent: Sent, signal: AbortSignal): Promise<Upload> {
  return new Promise((done, lost) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("file", file, file.name);
    request.open("POST", "uploads");
    for (const [name, value] of Object.entries(keyHeaders())) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => sent(event.loaded / event.total));
    request.addEventListener("load", () => {
      const body = parsed(request.responseText);
      if (request.status === 201) done(body as unknown as Upload);
      else lost(new Problem(request.status, body));
    });
    request.addEventListener("error", () => lost(unreachable()));
    request.addEventListener("abort", () => lost(new DOMException("aborted", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

async function inPieces(file: File, sent: Sent, signal: AbortSignal): Promise<Upload> {
  const { Upload: Resumable, DetailedError } = await import("tus-js-client");
  const address = await new Promise<string>((done, lost) => {
    const upload = new Resumable(file, {
      endpoint: "uploads/resumable",
      metadata: { filename: file.name },
      headers: keyHeaders(),
      chunkSize: PIECE_BYTES,
      retryDelays: PAUSES_MILLISECONDS,
      storeFingerprintForResuming: false,
      onProgress: (bytes, all) => sent(all ? bytes / all : 0),
      onSuccess: () => done(upload.url ?? ""),
      onError: (error) => lost(error instanceof DetailedError ? refusal(error) : unreachable()),
    });
    signal.addEventListener("abort", () => {
      void upload.abort(true);
      lost(new DOMException("aborted", "AbortError"));
    });
    upload.start();
  });
  const id = address.split("/").pop();
  return ask<Upload>(`uploads/${id}`, { signal });
}

function refusal(error: { originalResponse: { getStatus(): number; getBody(): string } | null }): Problem {
  const answer = error.originalResponse;
  return answer ? new Problem(answer.getStatus(), parsed(answer.getBody())) : unreachable();
}

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function unreachable(): Problem {
  return new Problem(0, { code: "unreachable", detail: texts.problems.unreachable });
}
