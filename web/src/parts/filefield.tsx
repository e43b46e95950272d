/** A field that takes files by choosing or dropping, sends them at once, and says what was found in them. */

import { useEffect, useRef, useState } from "preact/hooks";
import { isAbort } from "../api/client";
import { type Problem, problemOf } from "../api/problem";
import type { Upload } from "../api/types";
import { send } from "../api/uploads";
import { type Field, refused } from "../form/faults";
import { bytes, number, percent } from "../format";
import { settings } from "../settings";
import { texts } from "../texts";
import { Faults, tied } from "./field";

interface FileFieldProps {
  label: string;
  help?: string;
  at: Field;
  accept: string;
  several?: boolean;
  /** A further part of the page (a selector) that files may be dropped onto. */
  zone?: string;
  uploads: Upload[];
  sent: (upload: Upload) => void;
  removed: (upload: Upload) => void;
}

interface Sending {
  name: string;
  share: number;
  stop: AbortController;
}

export function FileField({ label, help, at, accept, several = false, zone, uploads, sent, removed }: FileFieldProps) {
  const [sending, setSending] = useState<Sending[]>([]);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);

  const take = async (files: FileList | null | undefined) => {
    setProblem(null);
    refused.value = null;
    for (const file of Array.from(files ?? []).slice(0, several ? undefined : 1)) {
      const stop = new AbortController();
      const tell = (share: number) =>
        setSending((all) => [...all.filter((one) => one.stop !== stop), { name: file.name, share, stop }]);
      try {
        checkSize(file);
        tell(0);
        sent(await send(file, tell, stop.signal));
      } catch (error) {
        if (!isAbort(error)) setProblem(problemOf(error));
      }
      setSending((all) => all.filter((one) => one.stop !== stop));
    }
    if (input.current) input.current.value = "";
  };

  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    void take(event.dataTransfer?.files);
  };
  const latest = useRef(drop);
  latest.current = drop;
  useEffect(() => {
    const place = zone ? document.querySelector<HTMLElement>(zone) : null;
    const dropped = (event: DragEvent) => latest.current(event);
    place?.addEventListener("drop", dropped);
    return () => place?.removeEventListener("drop", dropped);
  }, [zone]);

  return (
    <div class="field">
      <span class="label" id={`label${at}`}>
        {label}
      </span>
      {(several || !uploads.length) && (
        <label
          class={over ? "drop over" : "drop"}
          onDragOver={(event) => {
            event.preventDefault();
            setOver(true);
          }}
          onDragLeave={() => setOver(false)}
          onDrop={drop}
        >
          <input
            ref={input}
            type="file"
            accept={accept}
            multiple={several}
            aria-labelledby={`label${at} choose${at}`}
            {...tied(at)}
            onChange={(event) => void take(event.currentTarget.files)}
          />
          <span id={`choose${at}`}>
            {texts.files.drop} <u>{several ? texts.files.chooseSeveral : texts.files.choose}</u>
          </span>
        </label>
      )}
      {help && <p class="help">{help}</p>}
      {sending.map((one) => (
        <SendingRow key={one.name} one={one} />
      ))}
      {uploads.map((upload) => (
        <div class="file" key={upload.upload}>
          <span>
            <b>{upload.filename}</b> <small>{told(upload)}</small>
          </span>
          <button
            type="button"
            class="quiet"
            aria-label={texts.files.remove(upload.filename)}
            onClick={() => removed(upload)}
          >
            ✕
          </button>
        </div>
      ))}
      {problem && (
        <div class="fault" role="alert">
          <p>{problem.message}</p>
          {problem.advice && <p>{problem.advice}</p>}
        </div>
      )}
      <Faults at={at} />
    </div>
  );
}

function SendingRow({ one }: { one: Sending }) {
  const text = one.share < 1 ? texts.files.sending(one.name, percent(one.share)) : texts.files.checking(one.name);
  return (
    <div class="file" role="status">
      <span>
        {text}
        <progress value={one.share} max={1} aria-label={text} />
      </span>
      <button type="button" class="quiet" aria-label={texts.files.cancel(one.name)} onClick={() => one.stop.abort()}>
        ✕
      </button>
    </div>
  );
}

function checkSize(file: File): void {
  const most = settings.value?.limits.max_upload_bytes ?? Infinity;
  if (file.size > most) throw new Error(texts.files.tooLarge(bytes(most)));
}

/** Say in a few words what the service found in a file. */
function told({ kind, size, facts }: Upload): string {
  const what =
    kind === "vector"
      ? texts.files.features(number(facts.features ?? 0), (facts.geometry_types ?? []).join(", "))
      : texts.files.image(number(facts.width ?? 0), number(facts.height ?? 0), String(facts.count ?? "?"));
  return `${what}, ${bytes(size)}`;
}
