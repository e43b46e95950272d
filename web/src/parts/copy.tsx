/** A button that copies a text, and says so. */

import { useState } from "preact/hooks";
import { texts } from "../texts";

const TOLD_MILLISECONDS = 2000;

export function CopyButton({ label, text }: { label: string; text: () => string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await put(text());
    setCopied(true);
    setTimeout(() => setCopied(false), TOLD_MILLISECONDS);
  };
  return (
    <button type="button" onClick={() => void copy()} aria-live="polite">
      {copied ? texts.code.copied : label}
    </button>
  );
}

/** The clipboard is only there over HTTPS and on this machine; elsewhere a selection is copied as browsers always did. */
async function put(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
