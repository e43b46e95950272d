/** The second part of the form: which map, made by which model, and what is known of that model in plain words. */

import type { Model, Process, Score } from "../api/types";
import { number, percent } from "../format";
import { Faults } from "../parts/field";
import { processes } from "../settings";
import { texts } from "../texts";
import { change, draft } from "./draft";

export function ProductPart({ process, model }: { process: Process | undefined; model: Model | undefined }) {
  const choose = (id: string) => {
    const own = processes.value[id]?.models[0]?.reflectance === "digital";
    change({ product: id, model: "", outputs: [], units: "auto", resolution: 10, source: own ? "own" : "catalogue" });
  };
  return (
    <fieldset>
      <legend>{texts.product.title}</legend>
      <div class="cards">
        {Object.values(processes.value).map((one) => (
          <label key={one.id} class="card">
            <input
              type="radio"
              name="product"
              checked={one.id === draft.value.product}
              onChange={() => choose(one.id)}
            />
            <span>
              <b>{one.title}</b>
              <small>{one.description}</small>
            </span>
          </label>
        ))}
      </div>
      {draft.value.source !== "job" && process && (
        <div class="field">
          <label>
            <span class="label">{texts.product.model}</span>
            <select value={model?.id ?? ""} onChange={(event) => change({ model: event.currentTarget.value })}>
              {process.models.map((one) => (
                <option key={one.id} value={one.id}>
                  {one.title}
                  {one.default ? ` (${texts.product.recommended})` : ""}
                </option>
              ))}
            </select>
          </label>
          <Faults at="/inputs/model" />
        </div>
      )}
      {model && <ModelFacts model={model} />}
    </fieldset>
  );
}

export function ModelFacts({ model }: { model: Model }) {
  const told = texts.product;
  const score = bestKnown(model.accuracy);
  return (
    <div class="model">
      <p>{model.summary}</p>
      {model.limits_told[0] && (
        <p class="note">
          <b>{told.beware}:</b> {model.limits_told.at(model.limits_told.length > 1 ? 1 : 0)}
        </p>
      )}
      <details>
        <summary>{told.facts}</summary>
        <dl>
          <dt>{told.accuracy}</dt>
          <dd>
            {score ? told.accuracyOf(percent(score.metrics.OA ?? 0, 1), score.method, score.data) : told.noAccuracy}
          </dd>
          <dt>{told.beware}</dt>
          <dd>
            <ul>
              {model.limits_told.map((text) => (
                <li key={text}>{text}</li>
              ))}
            </ul>
          </dd>
          <dt>{told.training}</dt>
          <dd>{model.training_data}</dd>
          <dt>{told.bands}</dt>
          <dd>{model.bands.join(", ")}</dd>
          <dt>{told.pixel}</dt>
          <dd>{told.pixelOf(number(model.resolution, 2))}</dd>
          <dt>{told.buildings}</dt>
          <dd>{model.uses_buildings ? told.usesBuildings : told.noBuildings}</dd>
          <dt>{told.licence}</dt>
          <dd>
            {model.licence}
            {model.weights !== "bundled" && ` ${told.fetched}`}
          </dd>
          <dt>{told.citation}</dt>
          <dd>{model.citation}</dd>
        </dl>
      </details>
    </div>
  );
}

/** Cards list the model's own row among baselines; rows without an overall accuracy tell of other things. */
function bestKnown(scores: Score[]): Score | undefined {
  const told = scores.filter((score) => score.metrics.OA !== undefined);
  return told.find((score) => /^(MAGNET|network)/.test(score.method)) ?? told[0];
}
