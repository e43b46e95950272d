/** The page that asks for a new map. */

import { useEffect } from "preact/hooks";
import { useTitle } from "../parts/title";
import { processes } from "../settings";
import { noMap } from "../stagehand";
import { texts } from "../texts";
import { AreaPart } from "./area";
import { DetailsPart } from "./details";
import { draft } from "./draft";
import { EstimatePart } from "./estimate";
import { keepEstimating } from "./estimating";
import { ImageryPart } from "./imagery";
import { ProductPart } from "./product";

export function NewPage() {
  useTitle(texts.nav.start);
  useEffect(keepEstimating, []);
  const process = processes.value[draft.value.product];
  const models = process?.models ?? [];
  const model = models.find((one) => one.id === draft.value.model) ?? models.find((one) => one.default) ?? models[0];
  return (
    <>
      <h1>{texts.nav.start}</h1>
      {noMap.value && <p class="note">{texts.noWebgl}</p>}
      <AreaPart model={model} />
      <ProductPart process={process} model={model} />
      <ImageryPart />
      <DetailsPart process={process} model={model} />
      <EstimatePart process={process} />
    </>
  );
}
