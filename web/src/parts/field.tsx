/** A labelled control, what the service found wrong with it, and the two tied together for screen readers. */

import type { ComponentChildren } from "preact";
import { type Field, faultsOf, refused } from "../form/faults";

/** The attributes that tie a control to the faults of its field. */
export function tied(at: Field): { "aria-invalid": boolean; "aria-describedby": string | undefined } {
  const wrong = faultsOf(at, refused.value).length > 0;
  return { "aria-invalid": wrong, "aria-describedby": wrong ? idOf(at) : undefined };
}

export function Faults({ at }: { at: Field }) {
  const faults = faultsOf(at, refused.value);
  if (!faults.length) return null;
  return (
    <div class="fault" id={idOf(at)} role="alert">
      {faults.map((fault) => (
        <p key={fault.pointer + fault.detail}>{fault.detail}</p>
      ))}
    </div>
  );
}

interface LabelledProps {
  label: string;
  help?: string | undefined;
  at?: Field;
  children: ComponentChildren;
}

export function Labelled({ label, help, at, children }: LabelledProps) {
  return (
    <div class="field">
      {/* biome-ignore lint/a11y/noLabelWithoutControl: the control is what it holds */}
      <label>
        <span class="label">{label}</span>
        {children}
      </label>
      {help && <p class="help">{help}</p>}
      {at && <Faults at={at} />}
    </div>
  );
}

function idOf(at: Field): string {
  return `fault${at.replaceAll("/", "-")}`;
}
