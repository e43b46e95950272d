/** The classes of a map with their colours, shares and areas: a table that is a bar chart as well. */

import { useState } from "preact/hooks";
import type { Legend } from "../api/types";
import { km2, percent } from "../format";
import { palette } from "../palette";
import { texts } from "../texts";

const FEW = 0.00005;

export function LegendPart({ legend }: { legend: Legend }) {
  const [all, setAll] = useState(false);
  const classes = legend.layer === "map";
  const shown = legend.entries.filter((entry) => all || !classes || (entry.share ?? 0) > FEW);
  const most = Math.max(...legend.entries.map((entry) => entry.share ?? 0), FEW);
  return (
    <section aria-label={legend.title}>
      <h2>{classes ? texts.legend.chart : texts.legend.confidence}</h2>
      <table class="legend">
        <thead class="unseen">
          <tr>
            <th>{texts.legend.class}</th>
            {classes && <th>{texts.legend.share}</th>}
            {classes && <th>{texts.legend.area}</th>}
          </tr>
        </thead>
        <tbody>
          {shown.map((entry) => (
            <tr key={entry.code}>
              <th scope="row">
                <Swatch colour={entry.colour} />
                <b>{entry.label}</b> {entry.name !== entry.label && entry.name}
              </th>
              {classes && (
                <td class="bar">
                  <Bar share={(entry.share ?? 0) / most} colour={entry.colour} />
                  <span>{percent(entry.share ?? 0, 1)}</span>
                </td>
              )}
              {classes && <td class="number">{entry.km2 === undefined ? "" : km2(entry.km2)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
      {classes && (
        <div class="row">
          <label class="choice">
            <input type="checkbox" checked={all} onChange={(e) => setAll(e.currentTarget.checked)} />
            {texts.legend.all}
          </label>
          <PaletteChoice />
        </div>
      )}
    </section>
  );
}

export function PaletteChoice() {
  return (
    <label class="choice">
      <input
        type="checkbox"
        checked={palette.value === "safe"}
        onChange={(e) => {
          palette.value = e.currentTarget.checked ? "safe" : "standard";
        }}
      />
      {texts.legend.palette}
    </label>
  );
}

/** A colour as a small square: SVG attributes, as a strict policy allows no style attributes. */
export function Swatch({ colour }: { colour: string }) {
  return (
    <svg class="swatch" viewBox="0 0 16 16" aria-hidden="true">
      <rect width="16" height="16" fill={colour} />
    </svg>
  );
}

export function Bar({ share, colour }: { share: number; colour: string }) {
  return (
    <svg class="barchart" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect width={100 * share} height="10" fill={colour} />
    </svg>
  );
}
