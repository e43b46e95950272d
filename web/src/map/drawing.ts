/** Drawing an area on the map: corner by corner, or as a rectangle. */

import { TerraDraw, TerraDrawPolygonMode, TerraDrawRectangleMode } from "terra-draw";
import { TerraDrawMapLibreGLAdapter } from "terra-draw-maplibre-gl-adapter";
import type { Area } from "../api/types";
import type { Stage } from "./stage";

export type Shape = "polygon" | "rectangle";

/** Start drawing; `drawn` gets the finished shape. Returns what stops it. */
export function draw(stage: Stage, shape: Shape, drawn: (area: Area) => void): () => void {
  const adapter = new TerraDrawMapLibreGLAdapter({ map: stage.map });
  const modes = [new TerraDrawPolygonMode(), new TerraDrawRectangleMode()];
  const pencil = new TerraDraw({ adapter, modes });
  pencil.start();
  pencil.setMode(shape);
  stage.map.getCanvas().focus();
  pencil.on("finish", (id) => {
    const feature = pencil.getSnapshot().find((one) => one.id === id);
    if (feature?.geometry.type === "Polygon") drawn(feature.geometry);
  });
  return () => {
    if (pencil.enabled) pencil.stop();
  };
}
