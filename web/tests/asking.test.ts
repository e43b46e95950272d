import { beforeEach, describe, expect, it } from "vitest";
import type { Process, Upload } from "../src/api/types";
import { rectangle } from "../src/area/parsing";
import { inputsOf, outputsOf } from "../src/form/asking";
import { clear, type Draft, draft, type Layer } from "../src/form/draft";

const AREA = rectangle([14.2, 49.9, 14.7, 50.2]);
const OUTPUTS = ["map", "confidence", "probabilities", "uncertainty", "accuracy", "image", "parcels"];
const PROCESS = {
  inputs: { outputs: { schema: { default: ["map", "confidence", "parcels"] } } },
  outputs: Object.fromEntries(OUTPUTS.map((name) => [name, {}])),
} as unknown as Process;

function upload(id: string, layers: string[] = []): Upload {
  const facts = { layers: layers.map((name) => ({ name })) };
  return { upload: id, kind: "vector", filename: `${id}.gpkg`, size: 1, expires: "", facts };
}

function layer(id: string, told: Partial<Layer> = {}): Layer {
  return { upload: upload(id), layer: "", field: "", ...told };
}

const told = (part: Partial<Draft>): Draft => ({
  ...draft.value,
  from: "2026-05-01",
  to: "2026-09-30",
  ...part,
});

beforeEach(clear);

describe("what the service is asked", () => {
  const archive = { collection: "sentinel-2-l2a", datetime: "2026-05-01/2026-09-30", max_cloud_cover: 20 };

  it("is nothing but the imagery where nothing else was chosen", () => {
    expect(inputsOf(told({}), undefined)).toEqual({ imagery: { stac: archive } });
    expect(Object.keys(inputsOf(told({}), undefined))).toEqual(["imagery"]);
  });

  it("is everything that was chosen", () => {
    const all = told({
      title: "  Prague  ",
      area: AREA,
      model: "lcz-s2",
      cloud: 0,
      collection: "s2-c1",
      catalogue: "https://stac.example/v1",
      buildings: layer("up_b", { field: "height" }),
      parcels: layer("up_p", { field: "id" }),
      reference: layer("up_r", { field: "lcz" }),
      units: "parcel",
      resolution: 100,
      coverage: 35,
      outputs: ["map", "image"],
    });
    expect(inputsOf(all, PROCESS)).toEqual({
      title: "Prague",
      aoi: AREA,
      imagery: {
        stac: { ...archive, collection: "s2-c1", max_cloud_cover: 0, catalogue: "https://stac.example/v1" },
      },
      buildings: { upload: "up_b", height_field: "height" },
      parcels: { upload: "up_p", id_field: "id" },
      reference: { upload: "up_r", class_field: "lcz" },
      units: "parcel",
      resolution: 100,
      min_coverage: 0.35,
      model: "lcz-s2",
      outputs: ["map", "image"],
    });
  });

  it("has no title of white space", () => {
    expect(inputsOf(told({ title: " \n\t" }), undefined)).not.toHaveProperty("title");
  });

  it("takes one's own images, and their bands where they were named", () => {
    const own = told({ source: "own", images: [upload("up_1"), upload("up_2")], area: AREA });
    expect(inputsOf(own, undefined)).toEqual({ aoi: AREA, imagery: { uploads: ["up_1", "up_2"] } });
    const bands = (text: string) => inputsOf({ ...own, bands: text }, undefined).imagery.bands;
    expect(bands("B02, B03;B04 ")).toEqual(["B02", "B03", "B04"]);
    expect(bands(",B02,, ;B03,")).toEqual(["B02", "B03"]);
    expect(bands(" , ;")).toBeUndefined();
  });

  it("takes area, buildings and model of the map it is made from", () => {
    const again = told({
      source: "job",
      job: "job_0",
      area: AREA,
      model: "lcz-s2",
      buildings: layer("up_b"),
      parcels: layer("up_p"),
    });
    expect(inputsOf(again, PROCESS)).toEqual({ imagery: { job: "job_0" }, parcels: { upload: "up_p" } });
  });

  it("derives parcels from streets unless there are parcels", () => {
    const streets = layer("up_s", { upload: upload("up_s", ["roads", "rails"]), layer: "roads" });
    expect(inputsOf(told({ streets }), undefined).parcels).toEqual({
      derive: "streets",
      streets: { upload: "up_s", layer: "roads" },
    });
    expect(inputsOf(told({ streets, parcels: layer("up_p") }), undefined).parcels).toEqual({ upload: "up_p" });
  });

  it("names a layer only where a file has several, and one was chosen", () => {
    const buildings = (layers: string[], chosen: string) =>
      inputsOf(told({ buildings: layer("up_b", { upload: upload("up_b", layers), layer: chosen }) }), undefined)
        .buildings;
    expect(buildings(["a", "b"], "b")).toEqual({ upload: "up_b", layer: "b" });
    expect(buildings(["a", "b"], "")).toEqual({ upload: "up_b" });
    expect(buildings(["a"], "a")).toEqual({ upload: "up_b" });
    const { facts: _, ...bare } = upload("up_b");
    const known = inputsOf(
      told({ buildings: layer("up_b", { upload: { ...bare, facts: {} }, layer: "a" }) }),
      undefined,
    );
    expect(known.buildings).toEqual({ upload: "up_b" });
  });

  it("leaves out what is the service's own default", () => {
    const asked = inputsOf(told({ units: "auto", resolution: 10, coverage: 0, catalogue: "" }), undefined);
    expect(Object.keys(asked)).toEqual(["imagery"]);
    expect(asked.imagery.stac).not.toHaveProperty("catalogue");
  });
});

describe("the outputs that are asked for", () => {
  it("are those that were chosen", () => {
    expect(outputsOf(told({ outputs: ["accuracy"] }), PROCESS)).toEqual(["accuracy"]);
    expect(inputsOf(told({ outputs: ["accuracy"] }), undefined).outputs).toEqual(["accuracy"]);
  });

  it("are else the usual ones and what the page looks at, accuracy only with a reference", () => {
    const usual = ["map", "confidence", "uncertainty", "image", "parcels"];
    expect(outputsOf(told({}), PROCESS)).toEqual(usual);
    const measured = ["map", "confidence", "uncertainty", "accuracy", "image", "parcels"];
    expect(outputsOf(told({ reference: layer("up_r") }), PROCESS)).toEqual(measured);
    expect(inputsOf(told({}), PROCESS).outputs).toEqual(usual);
  });

  it("are left to the service for a map made from another", () => {
    expect(outputsOf(told({ source: "job", job: "job_0" }), PROCESS)).toEqual([]);
    expect(inputsOf(told({ source: "job", job: "job_0" }), PROCESS)).not.toHaveProperty("outputs");
  });
});
