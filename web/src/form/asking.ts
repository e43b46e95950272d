/** Turns a draft into what the service is asked. */

import type { Inputs, Process } from "../api/types";
import type { Draft, Layer } from "./draft";

/** Made only on request, and what the page itself looks at. */
const LOOKED_AT = ["uncertainty", "image"];

/** Return what a draft asks the service for; members the service has defaults for are left out. */
export function inputsOf(told: Draft, process: Process | undefined): Inputs {
  const { buildings, parcels, streets, reference } = told;
  const outputs = process ? outputsOf(told, process) : told.outputs;
  return {
    ...(told.title.trim() && { title: told.title.trim() }),
    ...(told.area && told.source !== "job" && { aoi: told.area }),
    imagery: imageryOf(told),
    ...(buildings && told.source !== "job" && { buildings: named(buildings, "height_field") }),
    ...(parcels && { parcels: named(parcels, "id_field") }),
    ...(!parcels && streets && { parcels: { derive: "streets" as const, streets: named(streets) } }),
    ...(reference && { reference: named(reference, "class_field") }),
    ...(told.units !== "auto" && { units: told.units }),
    ...(told.resolution !== 10 && { resolution: told.resolution }),
    ...(told.coverage > 0 && { min_coverage: told.coverage / 100 }),
    ...(told.model && told.source !== "job" && { model: told.model }),
    ...(outputs.length > 0 && { outputs }),
  };
}

function imageryOf(told: Draft): Inputs["imagery"] {
  if (told.source === "job") return { job: told.job };
  if (told.source === "own") {
    const bands = told.bands.split(/[,;]/).flatMap((name) => name.trim() || []);
    return { uploads: told.images.map((image) => image.upload), ...(bands.length && { bands }) };
  }
  const { collection, catalogue, cloud } = told;
  const datetime = `${told.from}/${told.to}`;
  return { stac: { collection, datetime, max_cloud_cover: cloud, ...(catalogue && { catalogue }) } };
}

function named<Field extends string>(
  told: Layer,
  field?: Field,
): { upload: string; layer?: string } & { [Name in Field]?: string } {
  const layers = told.upload.facts.layers ?? [];
  return {
    upload: told.upload.upload,
    ...(told.layer && layers.length > 1 && { layer: told.layer }),
    ...(field && told.field && { [field]: told.field }),
  } as { upload: string; layer?: string } & { [Name in Field]?: string };
}

/** Return which outputs to make: those chosen, else the service's own defaults and what the page looks at. */
export function outputsOf(told: Draft, process: Process): string[] {
  if (told.outputs.length || told.source === "job") return told.outputs;
  const usual = (process.inputs.outputs?.schema.default ?? []) as string[];
  const wanted = new Set([...usual, ...LOOKED_AT, ...(told.reference ? ["accuracy"] : [])]);
  return Object.keys(process.outputs).filter((name) => wanted.has(name));
}
