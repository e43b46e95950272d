/** The map for programs: the request as curl and Python, the tiles for QGIS and other pages. */

import { useState } from "preact/hooks";
import { key } from "../api/key";
import type { JobRequest, TileJson } from "../api/types";
import { CopyButton } from "../parts/copy";
import { curlOf, curlOfResults, embedOf, pythonOf, qgisOf } from "../parts/snippets";
import { texts } from "../texts";

const KINDS = ["curl", "python", "qgis", "embed"] as const;
type Kind = (typeof KINDS)[number];

export function CodePart({ request, tiles }: { request: JobRequest; tiles: TileJson }) {
  const [kind, setKind] = useState<Kind>("curl");
  const { inputs, outputs } = request.execute;
  const body = { inputs, ...(outputs && { outputs }) };
  const text = {
    curl: () => `${curlOf(request.processID, body)}\n\n${curlOfResults(request.jobID)}`,
    python: () => pythonOf(request.processID, body),
    qgis: () => qgisOf(tiles),
    embed: () => embedOf(tiles),
  }[kind]();
  const help = { curl: "", python: "", qgis: texts.code.qgisHelp, embed: texts.code.embedHelp }[kind];
  return (
    <section aria-labelledby="code-title">
      <h2 id="code-title">{texts.code.title}</h2>
      <fieldset class="row" aria-labelledby="code-title">
        {KINDS.map((name) => (
          <button key={name} type="button" aria-pressed={kind === name} onClick={() => setKind(name)}>
            {texts.code[name]}
          </button>
        ))}
      </fieldset>
      {help && <p class="help">{help}</p>}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
      {key.value && (kind === "curl" || kind === "python") && <p class="help">{texts.code.keyNote}</p>}
      <CopyButton label={texts.code.copy} text={() => text} />
    </section>
  );
}
