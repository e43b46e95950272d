/** The end of the form: what the map will take, its name, and the button that starts it. */

import { useState } from "preact/hooks";
import { problemOf } from "../api/problem";
import type { Estimate, Process } from "../api/types";
import { bytes, duration, km2, number } from "../format";
import { CopyButton } from "../parts/copy";
import { Labelled, tied } from "../parts/field";
import { ProblemBox } from "../parts/problem";
import { curlOf } from "../parts/snippets";
import { goTo } from "../route";
import { texts } from "../texts";
import { inputsOf } from "./asking";
import { change, draft } from "./draft";
import { estimate, estimating, start } from "./estimating";
import { isPlaced, refused } from "./faults";

export function EstimatePart({ process }: { process: Process | undefined }) {
  const [starting, setStarting] = useState(false);
  const told = estimate.value;
  const problem = refused.value;
  const begin = async () => {
    setStarting(true);
    try {
      goTo({ page: "job", job: (await start(draft.value)).jobID });
    } catch (error) {
      refused.value = problemOf(error);
    }
    setStarting(false);
  };
  const body = { inputs: inputsOf(draft.value, process) };
  return (
    <section class="estimate" aria-labelledby="estimate-title">
      <h2 id="estimate-title">{texts.estimate.title}</h2>
      <div aria-live="polite">
        {told && <EstimateFacts told={told} />}
        {!told && estimating.value && <p class="note">{texts.estimate.working}</p>}
        {!told && !estimating.value && !problem && <p class="note">{texts.estimate.wait}</p>}
      </div>
      {problem && !isPlaced(problem) && <ProblemBox problem={problem} />}
      <Labelled label={texts.estimate.name} at="/inputs/title">
        <input
          maxLength={200}
          value={draft.value.title}
          {...tied("/inputs/title")}
          onInput={(e) => change({ title: e.currentTarget.value })}
        />
      </Labelled>
      <div class="row start">
        <button type="button" class="primary" disabled={!told || starting} onClick={() => void begin()}>
          {starting ? texts.estimate.starting : texts.estimate.start}
        </button>
        <span class="help" aria-hidden="true">
          {told && `${km2(told.km2)} · ${texts.estimate.timeOf(duration(told.seconds))}`}
          {!told && (estimating.value ? texts.estimate.working : "")}
        </span>
      </div>
      {told && <CopyButton label={texts.estimate.copy} text={() => curlOf(draft.value.product, body)} />}
    </section>
  );
}

function EstimateFacts({ told }: { told: Estimate }) {
  const words = texts.estimate;
  const from = told.seconds_drawn_from;
  return (
    <>
      <dl class="facts">
        <dt>{words.area}</dt>
        <dd>{km2(told.km2)}</dd>
        <dt>{words.pixels}</dt>
        <dd>{words.pixelsOf(number(told.pixels), number(told.resolution, 2))}</dd>
        <dt>{words.blocks}</dt>
        <dd>{number(told.blocks)}</dd>
        <dt>{words.time}</dt>
        <dd>
          {words.timeOf(duration(told.seconds))} <small>{from ? words.drawnFrom(from) : words.ruleOfThumb}</small>
        </dd>
        <dt>{words.size}</dt>
        <dd>{words.sizeOf(bytes(told.output_bytes))}</dd>
        {told.scenes && (
          <>
            <dt>{words.scenes}</dt>
            <dd>{words.scenesOf(told.scenes.fitting, told.scenes.overpasses)}</dd>
          </>
        )}
      </dl>
      {told.warnings.map((warned) => (
        <p class="note" key={warned.detail}>
          {warned.detail}
        </p>
      ))}
    </>
  );
}
