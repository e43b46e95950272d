import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { Estimate, StatusInfo } from "../src/api/types";
import { rectangle } from "../src/area/parsing";
import { change, clear, draft } from "../src/form/draft";
import { estimate, estimating, keepEstimating, start } from "../src/form/estimating";
import { refused } from "../src/form/faults";
import { comeFrom, hasten, pass } from "./browser";
import { type Answer, broken, gate, json, type Served, serve } from "./server";

const AREA = rectangle([14.2, 49.9, 14.7, 50.2]);
const PATHS = {
  estimate: "/processes/local-climate-zones/estimate",
  execution: "/processes/local-climate-zones/execution",
};
const told = (km2: number) => json(200, { km2 } as Estimate);
const refusal = json(422, { code: "aoi-too-large", errors: [{ pointer: "/inputs/aoi", detail: "Too large." }] });

let pauses: number[];

beforeEach(() => {
  pauses = hasten(100);
  clear();
});

async function served(path: keyof typeof PATHS, ...answers: Answer[]): Promise<Served> {
  const server = await serve({ [PATHS[path]]: answers });
  onTestFinished(server.close);
  comeFrom(server.url);
  return server;
}

const soon = (check: () => void) => vi.waitFor(check, { interval: 1 });

describe("the estimate", () => {
  /** Estimate by the answers until the test is over. */
  async function kept(...answers: Answer[]): Promise<Served> {
    const server = await served("estimate", ...answers);
    onTestFinished(keepEstimating());
    return server;
  }

  it("is not asked for while something is missing", async () => {
    const { asked } = await kept(told(1));
    await pass(20);
    expect([asked.length, estimating.value, estimate.value]).toEqual([0, false, null]);
  });

  it("is asked for a moment after a change", async () => {
    const { asked } = await kept(told(1187));
    change({ area: AREA });
    expect(estimating.value).toBe(true);
    await soon(() => expect(estimate.value).toEqual({ km2: 1187 }));
    expect([pauses[0], estimating.value, refused.value]).toEqual([500, false, null]);
    expect(JSON.parse(asked[0]?.body ?? "")).toMatchObject({ inputs: { aoi: AREA } });
    expect(asked[0]).toMatchObject({ method: "POST" });
  });

  it("is asked for once where changes come fast, and not for a name", async () => {
    const { asked } = await kept(told(1187));
    change({ area: AREA });
    change({ cloud: 30 });
    change({ cloud: 40 });
    await soon(() => expect(estimate.value).not.toBeNull());
    change({ title: "Praha" });
    await pass(20);
    expect(asked.map(({ body }) => JSON.parse(body).inputs.imagery.stac.max_cloud_cover)).toEqual([40]);
    expect(estimate.value).toEqual({ km2: 1187 });
  });

  it("that comes too late is none", async () => {
    const late = gate();
    const { asked } = await kept(async (response) => {
      await late.opened;
      await told(1)(response);
    }, told(2));
    change({ area: AREA });
    await soon(() => expect(asked.length).toBe(1));
    change({ cloud: 30 });
    late.open();
    await soon(() => expect(estimate.value).not.toBeNull());
    expect([estimate.value, estimating.value]).toEqual([{ km2: 2 }, false]);
  });

  it("goes when what it was for goes", async () => {
    await kept(told(1187));
    change({ area: AREA });
    await soon(() => expect(estimate.value).not.toBeNull());
    change({ area: null });
    expect([estimate.value, estimating.value]).toEqual([null, false]);
  });

  it("that is refused says why, until the next change", async () => {
    await kept(refusal, told(2));
    change({ area: AREA });
    await soon(() => expect(refused.value).toMatchObject({ code: "aoi-too-large", status: 422 }));
    expect([estimate.value, estimating.value]).toEqual([null, false]);
    change({ cloud: 30 });
    expect([refused.value, estimating.value]).toEqual([null, true]);
    await soon(() => expect(estimate.value).toEqual({ km2: 2 }));
  });
});

describe("starting", () => {
  const accepted = json(201, { jobID: "j", status: "accepted" } as StatusInfo);
  const keys = ({ asked }: Served) => asked.map(({ headers }) => headers["idempotency-key"]);

  it("asks for what was drafted, and does not wait for the map", async () => {
    const { asked } = await served("execution", accepted);
    expect(await start({ ...draft.value, area: AREA, title: "Praha" })).toEqual({ jobID: "j", status: "accepted" });
    expect(JSON.parse(asked[0]?.body ?? "")).toMatchObject({ inputs: { title: "Praha", aoi: AREA } });
    expect(asked[0]?.headers).toMatchObject({ prefer: "respond-async" });
    expect(asked[0]?.headers["idempotency-key"]).toMatch(/^[0-9a-f]{32}$/);
  });

  it("twice the same is one job, even where the answer was lost each time", async () => {
    const server = await served("execution", broken, broken, broken, accepted);
    await expect(start(draft.value)).rejects.toMatchObject({ code: "unreachable" });
    await start(draft.value);
    expect(server.asked.length).toBe(4);
    expect(new Set(keys(server)).size).toBe(1);
  });

  it("something else, or the same after it went well, is another job", async () => {
    const server = await served("execution", refusal, accepted, accepted);
    await expect(start(draft.value)).rejects.toMatchObject({ status: 422 });
    await start({ ...draft.value, title: "Praha" });
    await start({ ...draft.value, title: "Praha" });
    expect(new Set(keys(server)).size).toBe(3);
  });
});
