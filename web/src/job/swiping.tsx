/** The divider between two maps: dragged on the map, or moved by a slider, which keys reach as well. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { TileJson } from "../api/types";
import type { Swipe } from "../map/swipe";
import { settings } from "../settings";
import { stage } from "../stagehand";
import { texts } from "../texts";

const MIDDLE = 50;

export function SwipeSlider({ tiles, smooth }: { tiles: TileJson | null; smooth: boolean }) {
  const [share, setShare] = useState(MIDDLE);
  const [swipe, setSwipe] = useState<Swipe | null>(null);
  const latest = useRef(share);
  useEffect(() => {
    const box = document.getElementById("swipe");
    const lower = stage.value;
    const told = settings.value;
    if (!box || !lower || !told) return;
    let made: Swipe | null = null;
    let ended = false;
    void import("../map/swipe").then(({ Swipe: Made }) => {
      if (ended) return;
      made = new Made(lower, box, told, (moved) => setShare(Math.round(100 * moved)));
      made.moveTo(latest.current / 100);
      setSwipe(made);
    });
    return () => {
      ended = true;
      made?.end();
      setSwipe(null);
    };
  }, [stage.value]);
  useEffect(() => {
    if (tiles) void swipe?.show(tiles, smooth);
  }, [tiles, swipe]);
  useEffect(() => {
    latest.current = share;
    swipe?.moveTo(share / 100);
  }, [share, swipe]);
  return (
    <label class="slider">
      <span>{texts.layers.swipeHandle}</span>
      <input type="range" min={0} max={100} value={share} onInput={(e) => setShare(Number(e.currentTarget.value))} />
    </label>
  );
}
