/** Takes the settings of a job over into a new request. */

import { ask } from "../api/client";
import type { Area, Inputs, JobRequest, Upload } from "../api/types";
import { type Bounds, parseArea, rectangle } from "../area/parsing";
import { change, clear, type Layer } from "../form/draft";
import { goTo } from "../route";
import { texts } from "../texts";

export function AgainButton({ request }: { request: JobRequest }) {
  const use = async () => {
    await takeOver(request);
    goTo({ page: "new" });
  };
  return (
    <button type="button" onClick={() => void use()}>
      {texts.job.again}
    </button>
  );
}

/** Return the area a job was asked for, in whichever form that was; null where it maps whole images. */
export function shownArea(request: JobRequest): Area | null {
  const aoi = request.execute.inputs.aoi as { bbox?: Bounds } | undefined;
  if (!aoi) return null;
  try {
    return aoi.bbox ? rectangle(aoi.bbox) : parseArea(JSON.stringify(aoi));
  } catch {
    return null;
  }
}

/** Fill the form with what a job was asked. Files that have expired since are left out. */
async function takeOver(request: JobRequest): Promise<void> {
  const { inputs } = request.execute;
  const { stac, uploads, job, bands } = inputs.imagery;
  const images = await Promise.all((uploads ?? []).map(kept));
  clear();
  change({
    product: request.processID,
    area: shownArea(request),
    source: job ? "job" : stac ? "catalogue" : "own",
    job: job ?? "",
    images: images.filter((one) => one !== null),
    bands: bands?.join(", ") ?? "",
    ...(stac && fromArchive(stac)),
    model: inputs.model ?? "",
    units: inputs.units ?? "auto",
    resolution: inputs.resolution ?? 10,
    coverage: Math.round(100 * (inputs.min_coverage ?? 0)),
    outputs: inputs.outputs ?? [],
    title: inputs.title ?? "",
    buildings: await layerOf(inputs.buildings, inputs.buildings?.height_field),
    parcels: await layerOf(inputs.parcels, inputs.parcels?.id_field),
    streets: await layerOf(inputs.parcels?.streets, ""),
    reference: await layerOf(inputs.reference, inputs.reference?.class_field),
  });
}

function fromArchive({ collection, datetime, max_cloud_cover, catalogue }: NonNullable<Inputs["imagery"]["stac"]>) {
  const [from = "", to = ""] = datetime.split("/").map((date) => date.slice(0, 10));
  return { collection, from, to: to || from, cloud: max_cloud_cover ?? 20, catalogue: catalogue ?? "" };
}

async function layerOf(told: { upload?: string; layer?: string } | undefined, field = ""): Promise<Layer | null> {
  const upload = told?.upload ? await kept(told.upload) : null;
  return upload && { upload, layer: told?.layer ?? upload.facts.layers?.[0]?.name ?? "", field };
}

function kept(upload: string): Promise<Upload | null> {
  return ask<Upload>(`uploads/${upload}`).catch(() => null);
}
