import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { answered, ask, isAbort, sleep } from "../src/api/client";
import { forgetKey, giveKey, refuseKey, wanted } from "../src/api/key";
import { Problem, problemOf } from "../src/api/problem";
import { texts } from "../src/texts";
import { comeFrom, hasten, pass } from "./browser";
import { type Answer, broken, gate, json, type Served, serve, silent, text } from "./server";

let pauses: number[];

beforeEach(() => {
  forgetKey();
  pauses = hasten();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Serve the answers at one path, below a prefix, and let the page have come from there. */
async function served(...answers: Answer[]): Promise<Served> {
  const server = await serve({ "/lcz/here": answers });
  onTestFinished(server.close);
  comeFrom(`${server.url}lcz/index.html`);
  return server;
}

async function refusal(asking: Promise<unknown>): Promise<Problem> {
  const error = await asking.then(
    () => new Error("it went well"),
    (problem: unknown) => problem,
  );
  if (!(error instanceof Problem)) throw error;
  return error;
}

/** Let limits of time be over after so many milliseconds; returns what they were to be. */
function impatient(milliseconds: number): number[] {
  const limit = AbortSignal.timeout.bind(AbortSignal);
  const told: number[] = [];
  vi.spyOn(AbortSignal, "timeout").mockImplementation((wished) => {
    told.push(wished);
    return limit(milliseconds);
  });
  return told;
}

const busy = (headers: Record<string, string> = {}) => json(503, { code: "unavailable", detail: "Busy." }, headers);
const fine = json(200, { fine: true });
const post = { method: "POST" as const, body: { inputs: { title: "Žižkov" } } };
const once = { ...post, headers: { "Idempotency-Key": "k1" } };

describe("an answer", () => {
  it("is asked for below the page's own prefix, without a key where there is none", async () => {
    const { asked } = await served(fine);
    expect(await ask("here")).toEqual({ fine: true });
    expect(asked).toMatchObject([{ method: "GET", path: "/lcz/here", body: "" }]);
    expect(asked[0]?.headers).not.toHaveProperty("authorization");
    expect(asked[0]?.headers).not.toHaveProperty("content-type");
  });

  it("is asked for with the key, the headers and the body", async () => {
    const { asked } = await served(fine);
    giveKey(" secret ");
    await ask("here", { ...post, headers: { Prefer: "respond-async" } });
    expect(asked).toMatchObject([
      {
        method: "POST",
        headers: { authorization: "Bearer secret", prefer: "respond-async", "content-type": "application/json" },
        body: JSON.stringify(post.body),
      },
    ]);
  });

  it("may have no body", async () => {
    await served((response) => response.writeHead(204).end());
    const answer = await answered("here", { method: "DELETE" });
    expect([answer.status, answer.body]).toEqual([204, null]);
  });

  it("that is no JSON is told as a problem one did not foresee", async () => {
    await served(text(200, "<html>Sign in to this network</html>"));
    const error = await ask("here").catch((thrown: unknown) => thrown);
    expect(problemOf(error)).toMatchObject({ status: 0, code: "unforeseen" });
  });
});

describe("what is tried again", () => {
  it("is a GET while the service is busy", async () => {
    const { asked } = await served(busy(), json(429, {}), fine);
    expect(await ask("here")).toEqual({ fine: true });
    expect([asked.length, pauses]).toEqual([3, [300, 1200]]);
  });

  it("is a GET whose connection broke", async () => {
    const { asked } = await served(broken, broken, fine);
    expect(await ask("here")).toEqual({ fine: true });
    expect(asked.length).toBe(3);
  });

  it("is a GET three times at most", async () => {
    const { asked } = await served(busy({ "Retry-After": "1" }));
    const { status, code, retryAfter } = await refusal(ask("here"));
    expect([status, code, retryAfter, asked.length]).toEqual([503, "unavailable", 1, 3]);
  });

  it("is no POST: it might be done twice", async () => {
    const { asked } = await served(busy(), fine);
    expect((await refusal(ask("here", post))).status).toBe(503);
    expect([asked.length, pauses]).toEqual([1, []]);
  });

  it("is no POST whose connection broke, and no DELETE", async () => {
    const { asked } = await served(broken);
    expect((await refusal(ask("here", post))).code).toBe("unreachable");
    expect((await refusal(ask("here", { method: "DELETE" }))).code).toBe("unreachable");
    expect(asked.map(({ method }) => method)).toEqual(["POST", "DELETE"]);
  });

  it("is a POST with an Idempotency-Key, which stays the same", async () => {
    const { asked } = await served(broken, busy(), fine);
    expect(await ask("here", once)).toEqual({ fine: true });
    const keys = asked.map(({ headers, body }) => [headers["idempotency-key"], body]);
    expect(keys).toEqual(Array(3).fill(["k1", JSON.stringify(post.body)]));
  });

  it.each([400, 404, 409, 422, 500, 502, 504])("is nothing that was answered by %i", async (status) => {
    const { asked } = await served(json(status, { code: "told", detail: "No." }), fine);
    expect(await refusal(ask("here", once))).toMatchObject({ status, code: "told", message: "No." });
    expect([asked.length, pauses]).toEqual([1, []]);
  });

  it.each([
    ["2", 2000],
    ["0.1", 300],
    ["3600", 5000],
    ["Infinity", 5000],
    ["-7", 300],
    ["soon", 300],
    ["Sat, 21 Nov 2026 23:00:00 GMT", 300],
  ])("waits for a Retry-After of %s a pause of %i ms", async (told, pause) => {
    await served(busy({ "Retry-After": told }), fine);
    await ask("here");
    expect(pauses).toEqual([pause]);
  });
});

describe("a service out of reach", () => {
  it("is told of in words for people", async () => {
    const { close } = await served(fine);
    await close();
    const problem = await refusal(ask("here"));
    expect(problem).toMatchObject({ status: 0, code: "unreachable", message: texts.problems.unreachable });
    expect(pauses).toEqual([300, 1200]);
  });

  it("is one that does not answer within half a minute", async () => {
    const limits = impatient(50);
    const { asked } = await served(silent);
    expect((await refusal(ask("here"))).code).toBe("unreachable");
    expect([asked.length, limits]).toEqual([3, [30_000, 30_000, 30_000]]);
  });

  it("is one whose stream does not begin within half a minute", async () => {
    pauses = hasten(600);
    const { asked } = await served(silent);
    expect((await refusal(answered("here", { endless: true }))).code).toBe("unreachable");
    expect([asked.length, pauses]).toEqual([3, [30_000, 300, 30_000, 1200, 30_000]]);
  });

  it("is not one whose stream goes on for longer", async () => {
    hasten(600);
    await served(async (response) => {
      response.writeHead(200).flushHeaders();
      await pass(150);
      response.end("late");
    });
    const answer = await answered("here", { endless: true });
    expect(await answer.text()).toBe("late");
  });
});

describe("a problem", () => {
  const fault = { pointer: "/inputs/aoi", detail: "Too large." };

  it("says everything the service told", async () => {
    const body = { code: "invalid-request", detail: "No.", advice: "Draw less.", errors: [fault] };
    await served(json(422, body, { "Content-Type": "application/problem+json", "Retry-After": "7" }));
    expect(await refusal(ask("here"))).toMatchObject({
      status: 422,
      code: "invalid-request",
      message: "No.",
      advice: "Draw less.",
      errors: [fault],
      retryAfter: 7,
    });
  });

  it.each([
    ["a page", "<html>502 Bad Gateway</html>"],
    ["nothing", ""],
    ["null", "null"],
    ["a list", "[1, 2]"],
    ["words", '"detail"'],
    ["half an object", '{"code": "x'],
    ["an object of other kinds", '{"code": 5, "detail": {"a": 1}, "advice": null, "errors": "many"}'],
  ])("that is %s keeps its status", async (_, body) => {
    await served(text(502, body));
    expect(await refusal(ask("here"))).toMatchObject({
      status: 502,
      code: "unknown",
      message: "HTTP 502",
      advice: "",
      errors: [],
      retryAfter: null,
    });
  });

  it("has only faults that say where and what", async () => {
    const errors = [null, "x", {}, { detail: "no pointer" }, { pointer: 3, detail: "x" }, { pointer: "/a" }, fault];
    await served(json(422, { errors }));
    expect((await refusal(ask("here"))).errors).toEqual([fault]);
  });

  it("is made of any error", () => {
    const problem = new Problem(404, {});
    expect(problemOf(problem)).toBe(problem);
    expect(problemOf(new TypeError("x is undefined"))).toMatchObject({ status: 0, message: "x is undefined" });
    expect(problemOf("words")).toMatchObject({ status: 0, code: "unforeseen", message: "words" });
  });
});

describe("a service that wants a key", () => {
  const closed = json(401, { code: "unauthorized", detail: "A key is needed." });
  const wish = (why: string) => vi.waitFor(() => expect(wanted.value).toBe(why), { interval: 1 });

  it("gets it from the person, and answers", async () => {
    const { asked } = await served(closed, fine);
    const asking = ask("here", post);
    await wish("missing");
    giveKey("secret");
    expect(await asking).toEqual({ fine: true });
    expect(asked.map(({ headers }) => headers.authorization)).toEqual([undefined, "Bearer secret"]);
    expect(wanted.value).toBeNull();
    expect(sessionStorage.getItem("cityzones-key")).toBe("secret");
  });

  it("may refuse one, and is given another", async () => {
    const { asked } = await served(closed, closed, fine);
    giveKey("wrong");
    const asking = ask("here");
    await wish("refused");
    giveKey("wrong too");
    await vi.waitFor(() => expect(asked.length).toBe(2), { interval: 1 });
    await wish("refused");
    giveKey("right");
    expect(await asking).toEqual({ fine: true });
    expect(asked[2]?.headers.authorization).toBe("Bearer right");
  });

  it("is given up when the person has none", async () => {
    const { asked } = await served(closed);
    const asking = refusal(ask("here"));
    await wish("missing");
    refuseKey();
    expect(await asking).toMatchObject({ status: 401, code: "unauthorized" });
    expect(asked.length).toBe(1);
  });

  it("asks once for all who wait", async () => {
    const server = await served(closed, closed, closed, fine);
    const asking = [ask("here"), ask("here"), ask("here")];
    await vi.waitFor(() => expect(server.asked.length).toBe(3), { interval: 1 });
    await pass(20);
    giveKey("secret");
    expect(await Promise.all(asking)).toEqual(Array(3).fill({ fine: true }));
    expect(server.asked.length).toBe(6);
  });

  it("has it forgotten with the tab", async () => {
    const { asked } = await served(fine);
    giveKey("secret");
    forgetKey();
    await ask("here");
    expect(asked[0]?.headers).not.toHaveProperty("authorization");
    expect(sessionStorage.getItem("cityzones-key")).toBeNull();
  });
});

describe("who lost interest", () => {
  const ended = async (asking: Promise<unknown>) => isAbort(await asking.catch((error: unknown) => error));

  it("before asking asks nothing", async () => {
    const { asked } = await served(fine);
    expect(await ended(ask("here", { signal: AbortSignal.abort() }))).toBe(true);
    expect([asked.length, pauses]).toEqual([0, []]);
  });

  it("while the service thinks asks no more, and the service knows", async () => {
    const stop = new AbortController();
    const left = gate();
    const { asked } = await served((response) => {
      response.once("close", left.open);
      stop.abort();
    });
    expect(await ended(ask("here", { signal: stop.signal }))).toBe(true);
    await left.opened;
    expect([asked.length, pauses]).toEqual([1, []]);
  });

  it("in a pause asks no more", async () => {
    pauses = hasten(100);
    const stop = new AbortController();
    const { asked } = await served(busy({ "Retry-After": "5" }));
    const asking = ended(ask("here", { signal: stop.signal }));
    await vi.waitFor(() => expect(pauses).toEqual([5000]), { interval: 1 });
    stop.abort();
    expect(await asking).toBe(true);
    await pass(60);
    expect(asked.length).toBe(1);
  });

  it("while the answer comes in gets no half of it", async () => {
    const stop = new AbortController();
    await served((response) => {
      response.writeHead(200).write('{"fine": ', () => stop.abort());
    });
    expect(await ended(ask("here", { signal: stop.signal }))).toBe(true);
  });
});

describe("sleeping", () => {
  it("ends at once for who has lost interest before", async () => {
    const reason = new Error("gone");
    await expect(sleep(1e9, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it("leaves nothing behind on what may go on for hours", async () => {
    const { signal } = new AbortController();
    const [added, removed] = [vi.spyOn(signal, "addEventListener"), vi.spyOn(signal, "removeEventListener")];
    for (let night = 0; night < 5; night++) await sleep(1, signal);
    expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(
      added.mock.calls.map(([, listener]) => listener),
    );
  });
});
