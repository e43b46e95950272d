/** What every map of the page starts from: a base map where the service names one, else a graticule on paper. */

import type { StyleSpecification } from "maplibre-gl";
import type { PageSettings } from "../api/types";

export const GRATICULE = "graticule";
const NOTHING = { type: "FeatureCollection", features: [] } as const;

export function baseStyle(basemap: PageSettings["basemap"], dark: boolean): StyleSpecification {
  const ink = dark ? "#5d6977" : "#9a948a";
  return {
    version: 8,
    sources: {
      [GRATICULE]: { type: "geojson", data: NOTHING as never },
      ...(basemap && {
        basemap: {
          type: "raster",
          tiles: [basemap.tiles],
          tileSize: 256,
          maxzoom: basemap.maxzoom,
          attribution: escaped(basemap.attribution),
        },
      }),
    },
    layers: [
      { id: "paper", type: "background", paint: { "background-color": dark ? "#1b2026" : "#f1efe9" } },
      ...(basemap ? [{ id: "basemap", type: "raster" as const, source: "basemap" }] : []),
      ...(basemap
        ? []
        : [
            {
              id: GRATICULE,
              type: "line" as const,
              source: GRATICULE,
              paint: { "line-color": ink, "line-width": 0.7, "line-opacity": 0.7 },
            },
            {
              id: `${GRATICULE}-labels`,
              type: "symbol" as const,
              source: GRATICULE,
              layout: {
                "text-field": ["get", "label"] as never,
                "text-size": 11,
                "text-font": ["sans-serif"],
                "text-anchor": ["case", ["==", ["get", "side"], "foot"], "bottom", "left"] as never,
                "text-allow-overlap": true,
              },
              paint: {
                "text-color": dark ? "#aab4c0" : "#5f5a52",
                "text-halo-color": dark ? "#1b2026" : "#f1efe9",
                "text-halo-width": 1.5,
              },
            },
          ]),
    ],
  };
}

/** MapLibre takes attributions as HTML; what an operator has set is text. */
function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
