/** A real server on this machine that answers as a test tells it to, and keeps what it was asked. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

export interface Asked {
  method: string;
  path: string;
  headers: Record<string, string | undefined>;
  body: string;
}

export type Answer = (response: ServerResponse) => void | Promise<void>;

export interface Served {
  url: string;
  asked: Asked[];
  close: () => Promise<void>;
}

/** Serve each path with its answers in turn, the last of them again and again; any other path is 404. */
export async function serve(routes: Record<string, Answer[]>): Promise<Served> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const before = asked.filter((one) => one.path === request.url).length;
    asked.push({ method: request.method, path: request.url, headers: request.headers, body: await bodyOf(request) });
    const answers = routes[request.url] ?? [json(404, { code: "not-found", detail: request.url })];
    await answers[Math.min(before, answers.length - 1)]?.(response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    asked,
    close: () => {
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const text = new TextDecoder();
  let body = "";
  for await (const chunk of request) body += text.decode(chunk, { stream: true });
  return body;
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return text(status, JSON.stringify(body), { "Content-Type": "application/json", ...headers });
}

export function text(status: number, body: string, headers: Record<string, string> = {}): Answer {
  return (response) => response.writeHead(status, headers).end(body);
}

/** Break the connection without an answer. */
export const broken: Answer = (response) => response.socket.destroy();

/** Take the request, and never answer it. */
export const silent: Answer = () => undefined;

/** A promise, and what keeps it: for answers that go on when a test says so, and tests that wait for an answer's end. */
export function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {};
  const opened = new Promise<void>((done) => {
    open = done;
  });
  return { opened, open };
}
