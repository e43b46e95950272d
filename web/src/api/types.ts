/** What the interface answers with, as far as the page reads it; the contract is /openapi.json. */

import type { Geometry, MultiPolygon, Polygon } from "geojson";

export type Area = Polygon | MultiPolygon;
export type State = "accepted" | "running" | "successful" | "failed" | "dismissed";

export interface Link {
  href: string;
  rel: string;
  type?: string;
  title: string;
}

export interface Warned {
  code: string;
  detail: string;
}

export interface PageSettings {
  version: string;
  auth: "open" | "keys";
  basemap: { tiles: string; attribution: string; maxzoom: number } | null;
  limits: { max_upload_bytes: number; link_seconds: number };
  uploads: "resumable" | "direct";
}

export interface MapClass {
  code: number;
  label: string;
  name: string;
  colour: string;
  safe?: string;
}

export interface Score {
  data: string;
  method: string;
  metrics: Record<string, number>;
}

export interface Model {
  id: string;
  version: string;
  title: string;
  summary: string;
  licence: string;
  training_data: string;
  citation: string;
  limits_told: string[];
  limits: { min_km2: number; max_km2: number };
  default: boolean;
  bands: string[];
  resolution: number;
  reflectance: string;
  uses_buildings: boolean;
  weights: string;
  accuracy: Score[];
}

export interface Process {
  id: string;
  title: string;
  description: string;
  inputs: Record<string, { schema: Record<string, unknown> }>;
  outputs: Record<string, { title: string; schema: { contentMediaType: string } }>;
  models: Model[];
  classes: MapClass[];
  limits: { min_km2: number; max_km2: number; max_vertices: number };
}

export interface StatusInfo {
  jobID: string;
  processID: string;
  status: State;
  title?: string;
  message: string;
  created: string;
  started?: string;
  finished?: string;
  updated?: string;
  progress: number;
  blocks: { done: number; total: number };
  coverage?: number;
  deletes?: string;
  warnings: Warned[];
  problem?: Record<string, unknown>;
  links: Link[];
}

export interface JobList {
  jobs: StatusInfo[];
  links: Link[];
}

export interface JobRequest {
  jobID: string;
  processID: string;
  created: string;
  execute: { inputs: Inputs; outputs?: Record<string, unknown> };
}

export interface Inputs {
  title?: string;
  aoi?: unknown;
  imagery: {
    stac?: { collection: string; datetime: string; max_cloud_cover?: number; catalogue?: string };
    uploads?: string[];
    bands?: string[];
    job?: string;
  };
  buildings?: { upload: string; layer?: string; height_field?: string };
  parcels?: {
    upload?: string;
    layer?: string;
    id_field?: string;
    derive?: "streets";
    streets?: { upload: string; layer?: string };
  };
  reference?: { upload: string; layer?: string; class_field?: string };
  units?: string;
  resolution?: number;
  min_coverage?: number;
  model?: string;
  outputs?: string[];
}

export interface Estimate {
  model: string;
  resolution: number;
  km2: number;
  pixels: number;
  blocks: number;
  seconds: number;
  seconds_drawn_from: number;
  output_bytes: number;
  scenes?: {
    fitting: number;
    overpasses: number;
    likely: { id: string; datetime: string; cloud_cover?: number }[];
  };
  warnings: Warned[];
}

export interface ResultLink {
  href: string;
  type: string;
  title: string;
  "file:size": number;
  "file:checksum": string;
  expires: string;
  deletes?: string;
  filename: string;
}

export type Results = Record<string, ResultLink>;

export interface TileJson {
  tiles: [string];
  name: string;
  attribution: string;
  bounds: [number, number, number, number];
  minzoom: number;
  maxzoom: number;
  links: Link[];
}

export interface LegendEntry extends MapClass {
  share?: number;
  km2?: number;
}

export interface Legend {
  title: string;
  layer: string;
  entries: LegendEntry[];
}

export interface Upload {
  upload: string;
  kind: "image" | "picture" | "vector";
  filename: string;
  size: number;
  expires: string;
  facts: {
    crs?: string;
    lonlat_bounds?: [number, number, number, number] | null;
    features?: number;
    fields?: string[];
    geometry_types?: string[];
    layers?: { name: string; fields?: string[]; geometry_types?: string[]; features?: number }[];
    width?: number;
    height?: number;
    count?: number;
    bands?: (string | null)[];
    resolution?: [number, number];
  };
}

export interface UploadArea {
  geometry: Area;
  km2: number;
  vertices: number;
  layer?: string;
  simplified_m?: number;
  warnings: Warned[];
}

export type Corner = [number, number];

export interface Blocks {
  grid?: { width: number; height: number; corners: [Corner, Corner, Corner, Corner] };
  blocks: {
    id: string;
    row: number;
    column: number;
    height: number;
    width: number;
    done: boolean;
    href?: string;
  }[];
}

export interface PointAnswer {
  lon: number;
  lat: number;
  mapped: boolean;
  pixel?: {
    resolution: number;
    class: MapClass;
    confidence?: number;
    unit?: string;
    second?: MapClass;
    entropy?: number;
    buildings_share?: number;
    consistency?: number;
  };
  parcel?: {
    id: string;
    class?: MapClass;
    second?: MapClass;
    purity?: number;
    entropy?: number;
    valid_fraction?: number;
    pixels?: number;
    area_m2: number;
    decided_by: string;
    reason?: string;
    shares?: Record<string, number>;
    probabilities: (MapClass & { share: number })[];
    geometry: Geometry;
  };
}
