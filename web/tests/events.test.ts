import type { ServerResponse } from "node:http";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { isAbort } from "../src/api/client";
import { follow, hasEnded } from "../src/api/events";
import { forgetKey, giveKey } from "../src/api/key";
import type { State, StatusInfo } from "../src/api/types";
import { comeFrom, hasten, pass } from "./browser";
import { type Answer, broken, gate, json, type Served, serve } from "./server";

const SILENCE = 45_000;
const BEGINNING = 30_000;
const LIMITS = [SILENCE, BEGINNING];

let pauses: number[];

beforeEach(() => {
  forgetKey();
  pauses = hasten(1000, LIMITS);
});

const status = (progress: number, state: State = "running", title = "Žižkov 日本 🏙️") =>
  ({ jobID: "j", status: state, progress, title }) as StatusInfo;
const event = (id: string, told: StatusInfo) => `event: status\ndata: ${JSON.stringify(told)}\nid: ${id}\n\n`;
const last = status(100, "successful");

const open = (response: ServerResponse) => response.writeHead(200, { "Content-Type": "text/event-stream" });
const events =
  (...pieces: string[]): Answer =>
  (response) =>
    open(response).end(`retry: 2000\n\n${pieces.join("")}`);
const cut =
  (text: string): Answer =>
  async (response) => {
    await new Promise<void>((sent) => open(response).write(text, sent));
    await pass(10);
    response.socket.destroy();
  };

interface Followed extends Served {
  told: StatusInfo[];
  lost: boolean[];
  end: Promise<StatusInfo>;
  stop: AbortController;
  /** The ids that streams were asked to go on from. */
  resumed: () => (string | undefined)[];
}

/** Follow a job whose streams and statuses are answered in turn. */
async function followed(streams: Answer[], statuses: Answer[] = []): Promise<Followed> {
  const server = await serve({ "/jobs/j/events": streams, "/jobs/j": statuses });
  onTestFinished(server.close);
  comeFrom(server.url);
  const [told, lost, stop]: [StatusInfo[], boolean[], AbortController] = [[], [], new AbortController()];
  const end = follow(
    "j",
    (one) => told.push(one),
    (away) => lost.push(away),
    stop.signal,
  );
  end.catch(() => undefined);
  const resumed = () =>
    server.asked.flatMap(({ path, headers }) => (path.endsWith("/events") ? [headers["last-event-id"]] : []));
  return { ...server, told, lost, end, stop, resumed };
}

const paths = ({ asked }: Followed) => asked.map(({ path }) => path.replace("/jobs/j", "") || "status");
const reason = (end: Promise<unknown>) =>
  end.then(
    () => null,
    (error: unknown) => error,
  );

describe("a job that is followed", () => {
  it("is told of until it has ended", async () => {
    const told = [status(0, "accepted"), status(10), status(55), last];
    const job = await followed([events(...told.map((one, k) => event(`${k}`, one)))]);
    expect(await job.end).toEqual(last);
    expect(job.told).toEqual(told);
    expect(job.lost).toEqual([false]);
    expect(paths(job)).toEqual(["/events"]);
    expect(job.asked[0]?.headers.accept).toBe("text/event-stream");
  });

  it.each(["successful", "failed", "dismissed"] as const)("has ended when it is %s", async (state) => {
    const job = await followed([events(event("a", status(40)), event("b", status(40, state)))]);
    expect((await job.end).status).toBe(state);
    expect(paths(job)).toEqual(["/events"]);
  });

  it("is followed with the key", async () => {
    giveKey("secret");
    const job = await followed([events(event("a", last))]);
    await job.end;
    expect(job.asked[0]?.headers.authorization).toBe("Bearer secret");
  });

  it("is understood however its bytes come", async () => {
    const bytes = new TextEncoder().encode(`: hello\n\n${event("a", status(10))}${event("b", last)}`);
    const job = await followed([
      async (response) => {
        open(response);
        for (const byte of bytes) await new Promise<void>((sent) => response.write(new Uint8Array([byte]), sent));
        response.end();
      },
    ]);
    expect(await job.end).toEqual(last);
    expect(job.told).toEqual([status(10), last]);
  });
});

describe("a stream that breaks", () => {
  it("in the middle of an event is taken up after the last whole one", async () => {
    const half = event("c", status(60)).slice(0, 40);
    const job = await followed(
      [cut(event("a", status(10)) + event("b", status(30)) + half), events(event("d", status(70)), event("e", last))],
      [json(200, status(30))],
    );
    expect(await job.end).toEqual(last);
    expect(job.told.map(({ progress }) => progress)).toEqual([10, 30, 30, 70, 100]);
    expect(job.resumed()).toEqual([undefined, "b"]);
    expect(job.lost).not.toContain(true);
  });

  it("before its first event is taken up from the beginning", async () => {
    const job = await followed([cut("retry: 2000\n\nevent: sta"), events(event("a", last))], [json(200, status(0))]);
    expect(await job.end).toEqual(last);
    expect(job.resumed()).toEqual([undefined, undefined]);
  });

  it("or ends without a word again and again is taken up where each of them ended", async () => {
    const job = await followed(
      [cut(event("a", status(10))), events(event("b", status(20))), events(), events(event("c", last))],
      [json(200, status(20))],
    );
    expect(await job.end).toEqual(last);
    expect(job.resumed()).toEqual([undefined, "a", "b", "b"]);
    expect(pauses.filter((pause) => !LIMITS.includes(pause))).toEqual([1000, 1000, 1000]);
  });

  it("after the last event has told everything", async () => {
    const job = await followed([cut(event("a", last))]);
    expect(await job.end).toEqual(last);
    expect(paths(job)).toEqual(["/events"]);
  });

  it("tells of an event that is no JSON nothing, and goes on", async () => {
    const job = await followed(
      [events(event("a", status(10)), "data: {half\nid: b\n\n"), events(event("c", last))],
      [json(200, status(20))],
    );
    expect(await job.end).toEqual(last);
    expect(job.resumed()).toEqual([undefined, "a"]);
    expect(job.told.map(({ progress }) => progress)).toEqual([10, 20, 100]);
  });

  it("by falling silent is given up", async () => {
    pauses = hasten(100, [BEGINNING]);
    const mute: Answer = (response) => void open(response).write(event("a", status(10)));
    const job = await followed([mute, events(event("b", last))], [json(200, status(10))]);
    expect(await job.end).toEqual(last);
    expect(job.resumed()).toEqual([undefined, "a"]);
    expect(pauses).toContain(SILENCE);
  });

  it("is not one that only sends comments while nothing happens", async () => {
    hasten(100, [BEGINNING]);
    const job = await followed([
      async (response) => {
        open(response).write(event("a", status(10)));
        for (let quiet = 0; quiet < 12; quiet++) {
          await pass(50);
          response.write(": ping\n\n");
        }
        response.end(event("b", last));
      },
    ]);
    expect(await job.end).toEqual(last);
    expect(paths(job)).toEqual(["/events"]);
  });
});

describe("where no stream is to be had", () => {
  it("the job is asked for instead, and the service is not away", async () => {
    const full = json(503, { code: "too-many-streams", detail: "Poll." }, { "Retry-After": "1" });
    const job = await followed([full], [json(200, status(10)), json(200, status(50)), json(200, last)]);
    expect(await job.end).toEqual(last);
    expect(job.told.map(({ progress }) => progress)).toEqual([10, 50, 100]);
    expect(job.lost).toEqual([false, false, false]);
  });

  it("because everything has been told, the job is asked for once", async () => {
    const job = await followed([(response) => response.writeHead(204).end()], [json(200, last)]);
    expect(await job.end).toEqual(last);
    expect(paths(job)).toEqual(["/events", "status"]);
  });
});

describe("a service that goes away", () => {
  it("is said to be away until a stream opens again, not until it has ended", async () => {
    const later = gate();
    const job = await followed(
      [
        events(event("a", status(10))),
        broken,
        broken,
        broken,
        async (response) => {
          open(response).write(event("b", status(20)));
          await later.opened;
          response.end(event("c", last));
        },
      ],
      [json(200, status(10)), broken, broken, broken],
    );
    await vi.waitFor(() => expect(job.told.at(-1)?.progress).toBe(20), { interval: 1 });
    expect(job.lost).toEqual([false, false, true, false]);
    later.open();
    expect(await job.end).toEqual(last);
    expect(job.resumed()).toEqual([undefined, "a", "a", "a", "a"]);
  });

  it("is asked ever more seldom, and every fifteen seconds at least", async () => {
    const away = json(502, {});
    const job = await followed(
      [away, away, away, away, away, away, events(event("a", last))],
      [away, away, away, away, away, away],
    );
    expect(await job.end).toEqual(last);
    expect(job.lost).toEqual([true, true, true, true, true, true, false]);
    expect(pauses.filter((pause) => !LIMITS.includes(pause))).toEqual([2000, 4000, 8000, 15_000, 15_000, 15_000]);
  });
});

describe("following ends", () => {
  it("where there is no such job", async () => {
    const job = await followed([json(404, { code: "unknown-job", detail: "No such job." })]);
    expect(await reason(job.end)).toMatchObject({ status: 404, code: "unknown-job" });
    expect([paths(job), job.told, job.lost, pauses]).toEqual([["/events"], [], [], [BEGINNING]]);
  });

  it("where the job was deleted meanwhile", async () => {
    const gone = json(404, { code: "unknown-job", detail: "No such job." });
    const job = await followed([events(event("a", status(10)))], [gone]);
    expect(await reason(job.end)).toMatchObject({ status: 404 });
    expect(paths(job)).toEqual(["/events", "status"]);
    expect(job.told).toEqual([status(10)]);
  });

  it("when nobody waits any more, for the service too", async () => {
    const left = gate();
    const job = await followed([
      (response) => {
        response.once("close", left.open);
        open(response).write(event("a", status(10)));
      },
    ]);
    await vi.waitFor(() => expect(job.told.length).toBe(1), { interval: 1 });
    job.stop.abort();
    expect(isAbort(await reason(job.end))).toBe(true);
    await left.opened;
    expect(paths(job)).toEqual(["/events"]);
  });

  it("when nobody waits any more, in a pause too", async () => {
    const job = await followed([json(502, {})], [json(502, {})]);
    await vi.waitFor(() => expect(pauses).toContain(15_000), { interval: 1 });
    job.stop.abort();
    expect(isAbort(await reason(job.end))).toBe(true);
  });
});

it("is over in three states of five", () => {
  const states: State[] = ["accepted", "running", "successful", "failed", "dismissed"];
  expect(states.filter((state) => hasEnded(status(0, state)))).toEqual(["successful", "failed", "dismissed"]);
});
