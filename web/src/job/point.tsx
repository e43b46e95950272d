/** What a map says of a place that was clicked: class, doubt, what decided, and the parcel it lies in. */

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, isAbort } from "../api/client";
import { type Problem, problemOf } from "../api/problem";
import type { MapClass, PointAnswer } from "../api/types";
import { number, percent, place } from "../format";
import { palette } from "../palette";
import { ProblemBox } from "../parts/problem";
import { processes } from "../settings";
import { stage } from "../stagehand";
import { texts } from "../texts";
import { Bar, Swatch } from "./legend";

const HALF = 0.5;

interface Place {
  lng: number;
  lat: number;
}

/** Ask one map, or two that are compared, for the place that was clicked last. */
export function PointPart({ jobs, names }: { jobs: string[]; names: string[] }) {
  const [asked, setAsked] = useState<Place | null>(null);
  useEffect(() => {
    const map = stage.value?.map;
    const click = (event: { lngLat: Place }) => setAsked(event.lngLat);
    map?.on("click", click);
    return () => {
      map?.off("click", click);
      void stage.value?.highlight(null);
    };
  }, [stage.value]);
  return (
    <section aria-labelledby="point-title">
      <h2 id="point-title">{texts.point.title}</h2>
      {!asked && <p class="help">{texts.point.help}</p>}
      <div aria-live="polite">
        {asked && <p class="place">{place(asked.lng, asked.lat)}</p>}
        {asked &&
          jobs.map((job, k) => <Answer key={job} job={job} asked={asked} name={jobs.length > 1 ? names[k] : ""} />)}
      </div>
      <button type="button" disabled={!stage.value} onClick={() => stage.value && setAsked(stage.value.middle)}>
        {texts.point.middle}
      </button>
    </section>
  );
}

function Answer({ job, asked, name }: { job: string; asked: Place; name: string | undefined }) {
  const [answer, setAnswer] = useState<PointAnswer | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    setProblem(null);
    ask<PointAnswer>(`jobs/${job}/point?lon=${asked.lng}&lat=${asked.lat}`, { signal: stop.signal }).then(
      (found) => {
        setAnswer(found);
        void stage.value?.highlight(found.parcel?.geometry ?? null);
      },
      (error: unknown) => !isAbort(error) && setProblem(problemOf(error)),
    );
    return () => stop.abort();
  }, [job, asked]);
  if (problem) return <ProblemBox problem={problem} />;
  if (!answer) return <p class="note">{texts.loading}</p>;
  return (
    <div class="answer">
      {name && <h3>{name}</h3>}
      {answer.pixel && answer.mapped ? <PixelFacts pixel={answer.pixel} /> : <p>{texts.point.outside}</p>}
      {answer.parcel && <ParcelFacts parcel={answer.parcel} />}
    </div>
  );
}

function PixelFacts({ pixel }: { pixel: NonNullable<PointAnswer["pixel"]> }) {
  const told = texts.point;
  const share = pixel.buildings_share;
  return (
    <dl class="facts">
      <Fact name={told.class}>
        <ClassName of={pixel.class} />
      </Fact>
      <Fact name={told.second}>{pixel.second && <ClassName of={pixel.second} />}</Fact>
      <Fact name={told.confidence}>{shown(pixel.confidence)}</Fact>
      <Fact name={told.unit}>{pixel.unit}</Fact>
      <Fact name={told.decided}>
        {share !== undefined && (share > HALF ? told.buildings(percent(share)) : told.spectrum(percent(1 - share)))}
      </Fact>
      <Fact name={told.entropy}>{shown(pixel.entropy)}</Fact>
      <Fact name={told.consistency}>{shown(pixel.consistency)}</Fact>
    </dl>
  );
}

function ParcelFacts({ parcel }: { parcel: NonNullable<PointAnswer["parcel"]> }) {
  const told = texts.point;
  return (
    <>
      <h3>{told.parcel(parcel.id)}</h3>
      <dl class="facts">
        <Fact name={told.class}>{parcel.class ? <ClassName of={parcel.class} /> : told.none}</Fact>
        <Fact name={told.second}>{parcel.second && <ClassName of={parcel.second} />}</Fact>
        <Fact name={told.unit}>{parcel.decided_by}</Fact>
        <Fact name={told.reason}>{parcel.reason}</Fact>
        <Fact name={told.area}>{`${number(parcel.area_m2)} m²`}</Fact>
        <Fact name={told.purity}>{shown(parcel.purity)}</Fact>
        <Fact name={told.valid}>{shown(parcel.valid_fraction)}</Fact>
        {Object.entries(parcel.shares ?? {}).map(([name, share]) => (
          <Fact key={name} name={told.shares[name] ?? name}>
            {percent(share)}
          </Fact>
        ))}
      </dl>
      <table class="legend">
        <caption>{told.probabilities}</caption>
        <tbody>
          {parcel.probabilities.map((one) => (
            <tr key={one.code}>
              <th scope="row">
                <ClassName of={one} />
              </th>
              <td class="bar">
                <Bar share={one.share} colour={shownColour(one)} />
                <span>{percent(one.share)}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

/** A line of a list of facts; what is not known has none. */
function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  if (children === undefined || children === null || children === false) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function shown(share: number | undefined): string | undefined {
  return share === undefined ? undefined : percent(share);
}

function ClassName({ of }: { of: MapClass }) {
  return (
    <>
      <Swatch colour={shownColour(of)} />
      <b>{of.label}</b> {of.name !== of.label && of.name}
    </>
  );
}

/** The colour of a class in the chosen palette: answers carry the standard one. */
function shownColour(told: MapClass): string {
  if (palette.value === "standard") return told.colour;
  const classes = Object.values(processes.value).flatMap((process) => process.classes);
  return classes.find((one) => one.name === told.name && one.code === told.code)?.safe ?? told.colour;
}
