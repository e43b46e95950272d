/** What of a finished map is seen: which layer, how opaque, and whether the imagery is swiped over it. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { stage } from "../stagehand";
import { texts } from "../texts";
import { useTiles } from "./fresh";
import { SwipeSlider } from "./swiping";

const LAYERS = ["map", "confidence", "image"];

interface LayersProps {
  job: string;
  layer: string;
  choose: (layer: string) => void;
  /** The outputs there are. */
  layers: string[];
  children: ComponentChildren;
}

export function LayersPart({ job, layer, choose, layers, children }: LayersProps) {
  const [swiping, setSwiping] = useState(false);
  const hasImage = layers.includes("image");
  return (
    <section aria-label={texts.layers.title}>
      <fieldset class="row" aria-label={texts.layers.show}>
        {LAYERS.filter((name) => layers.includes(name)).map((name) => (
          <button key={name} type="button" aria-pressed={layer === name} onClick={() => choose(name)}>
            {texts.layers.names[name]}
          </button>
        ))}
      </fieldset>
      {children}
      <label class="choice">
        <input
          type="checkbox"
          checked={swiping}
          disabled={!hasImage || !stage.value}
          onChange={(e) => setSwiping(e.currentTarget.checked)}
        />
        {texts.layers.swipe}
      </label>
      {!hasImage && layers.length > 0 && <p class="help">{texts.layers.noImage}</p>}
      {swiping && <ImagerySwipe job={job} />}
    </section>
  );
}

export function OpacitySlider({ opacity, set }: { opacity: number; set: (opacity: number) => void }) {
  return (
    <label class="slider">
      <span>{texts.layers.opacity}</span>
      <input type="range" min={0} max={100} value={opacity} onInput={(e) => set(Number(e.currentTarget.value))} />
      <output>{opacity} %</output>
    </label>
  );
}

function ImagerySwipe({ job }: { job: string }) {
  const tiles = useTiles(job, "image", "standard");
  return <SwipeSlider tiles={tiles.value} smooth />;
}
