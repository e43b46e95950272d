/** The map everything happens on: the area, drafts of running jobs, finished maps, and what was clicked. */

import {
  type CanvasSource,
  type GeoJSONSource,
  type LngLat,
  Map as MapLibre,
  NavigationControl,
  type RasterTileSource,
  ScaleControl,
  setWorkerUrl,
} from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import type { Geometry } from "geojson";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import { here } from "../api/here";
import type { Area, Corner, PageSettings, TileJson } from "../api/types";
import { type Bounds, boundsOf } from "../area/parsing";
import { texts } from "../texts";
import { graticule } from "./graticule";
import { baseStyle, GRATICULE } from "./style";

const AREA = "area";
const CHOSEN = "chosen";
const DRAFT = "draft";
const COASTS = "coasts";
const MARGIN = 40;
const EUROPE: [number, number] = [14, 50];

setWorkerUrl(workerUrl);

export class Stage {
  readonly map: MapLibre;
  readonly #ready: Promise<void>;

  constructor(container: HTMLElement, settings: PageSettings) {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    this.map = new MapLibre({
      container,
      style: baseStyle(settings.basemap, dark),
      center: EUROPE,
      zoom: 3,
      renderWorldCopies: false, // an area on another copy of the world would be none
      dragRotate: false,
      pitchWithRotate: false,
      attributionControl: { compact: true },
      locale: {
        "NavigationControl.ZoomIn": texts.map.zoomIn,
        "NavigationControl.ZoomOut": texts.map.zoomOut,
        "AttributionControl.ToggleAttribution": texts.map.attribution,
        "Map.Title": texts.map.label,
      },
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.addControl(new NavigationControl({ showCompass: false }), "top-right");
    this.map.addControl(new ScaleControl({}), "bottom-right");
    this.#ready = new Promise((done) => this.map.once("load", () => done()));
    void this.#ready.then(() => this.#prepare(dark));
    this.map.on("moveend", () => this.#ruleLines());
    this.map.on("error", ({ error }) => console.warn(error?.message)); // a tile that does not come leaves a gap
  }

  /** Run something once the style is there; what was asked first is done first. */
  async when<T>(work: (map: MapLibre) => T): Promise<T> {
    await this.#ready;
    return work(this.map);
  }

  fit(bounds: Bounds): void {
    this.map.fitBounds(bounds, { padding: MARGIN, maxZoom: 17, duration: 0 });
  }

  showArea(area: Area | null): Promise<void> {
    return this.#draw(AREA, area);
  }

  /** Outline what was clicked; null outlines nothing. */
  highlight(geometry: Geometry | null): Promise<void> {
    return this.#draw(CHOSEN, geometry);
  }

  get bounds(): Bounds {
    const bounds = this.map.getBounds();
    return [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
  }

  get middle(): LngLat {
    return this.map.getCenter();
  }

  fitArea(area: Area): void {
    this.fit(boundsOf(area));
  }

  /** Show a picture that grows, between the corners of its grid: upper left, upper right, lower right, lower left. */
  showDraft(canvas: HTMLCanvasElement, corners: [Corner, Corner, Corner, Corner]): Promise<void> {
    return this.when((map) => {
      this.#drop(DRAFT);
      map.addSource(DRAFT, { type: "canvas", canvas, coordinates: corners, animate: false });
      map.addLayer(
        { id: DRAFT, type: "raster", source: DRAFT, paint: { "raster-resampling": "nearest", "raster-opacity": 0.85 } },
        `${AREA}-line`,
      );
    });
  }

  /** Take over what was painted on the draft's canvas since. */
  redraft(): void {
    const source = this.map.getSource<CanvasSource>(DRAFT);
    if (!source) return;
    source.play();
    this.map.once("render", () => source.pause());
    this.map.triggerRepaint();
  }

  dropDraft(): Promise<void> {
    return this.when(() => this.#drop(DRAFT));
  }

  /** Show tiles below the outlines; tiles that are shown already under the name get their new address in place. */
  showTiles(name: string, tiles: TileJson, smooth = false): Promise<void> {
    return this.when((map) => {
      const addresses = tiles.tiles.map(here);
      const shown = map.getSource<RasterTileSource>(name);
      if (shown) {
        shown.setTiles(addresses);
        return;
      }
      map.addSource(name, {
        type: "raster",
        tiles: addresses,
        tileSize: 256,
        bounds: tiles.bounds,
        minzoom: tiles.minzoom,
        maxzoom: tiles.maxzoom,
        attribution: tiles.attribution,
      });
      const resampling = smooth ? "linear" : "nearest";
      map.addLayer(
        {
          id: name,
          type: "raster",
          source: name,
          paint: { "raster-resampling": resampling, "raster-fade-duration": 0 },
        },
        `${AREA}-line`,
      );
    });
  }

  setOpacity(name: string, opacity: number): Promise<void> {
    return this.when((map) => {
      if (map.getLayer(name)) map.setPaintProperty(name, "raster-opacity", opacity);
    });
  }

  dropTiles(name: string): Promise<void> {
    return this.when(() => this.#drop(name));
  }

  #draw(name: string, geometry: Geometry | null): Promise<void> {
    return this.when((map) => {
      const data = geometry ?? { type: "GeometryCollection" as const, geometries: [] };
      map.getSource<GeoJSONSource>(name)?.setData({ type: "Feature", properties: {}, geometry: data });
    });
  }

  #drop(name: string): void {
    if (this.map.getLayer(name)) this.map.removeLayer(name);
    if (this.map.getSource(name)) this.map.removeSource(name);
  }

  #prepare(dark: boolean): void {
    const nothing = { type: "FeatureCollection" as const, features: [] };
    const ink = dark ? "#ffb27a" : "#8c2d04";
    for (const name of [AREA, CHOSEN]) {
      this.map.addSource(name, { type: "geojson", data: nothing });
    }
    const line = { "line-color": ink, "line-width": 2.5 };
    this.map.addLayer({ id: `${AREA}-line`, type: "line", source: AREA, paint: line });
    const casing = { "line-color": "#ffffff", "line-width": 5 };
    this.map.addLayer({ id: `${CHOSEN}-casing`, type: "line", source: CHOSEN, paint: casing });
    const chosen = { "line-color": "#111111", "line-width": 2 };
    this.map.addLayer({ id: CHOSEN, type: "line", source: CHOSEN, paint: chosen });
    this.#ruleLines();
    if (this.map.getLayer(GRATICULE)) void this.#drawCoasts(dark);
  }

  async #drawCoasts(dark: boolean): Promise<void> {
    const { coasts, COASTS_UNTIL } = await import("./coasts");
    this.map.addSource(COASTS, { type: "geojson", data: coasts() });
    const fading = ["interpolate", ["linear"], ["zoom"], COASTS_UNTIL - 2, 1, COASTS_UNTIL, 0] as never;
    const paint = { "line-color": dark ? "#8b98a6" : "#77716a", "line-width": 1, "line-opacity": fading };
    this.map.addLayer({ id: COASTS, type: "line", source: COASTS, maxzoom: COASTS_UNTIL, paint }, GRATICULE);
  }

  #ruleLines(): void {
    if (!this.map.getLayer(GRATICULE)) return;
    this.map.getSource<GeoJSONSource>(GRATICULE)?.setData(graticule(this.bounds));
  }
}
