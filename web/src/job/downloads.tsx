/** Every output with what it is for, its format and size; its link is made afresh when it is used. */

import type { ResultLink, Results } from "../api/types";
import { bytes, when } from "../format";
import { texts } from "../texts";
import { endOfResults } from "./fresh";

interface DownloadsProps {
  results: Results;
  again: () => Promise<Results | null>;
}

export function DownloadsPart({ results, again }: DownloadsProps) {
  const ends = new Date(endOfResults(results) * 1000).toISOString();
  return (
    <section aria-labelledby="downloads-title">
      <h2 id="downloads-title">{texts.downloads.title}</h2>
      <ul class="downloads">
        {Object.entries(results).map(([name, link]) => (
          <Download key={name} name={name} link={link} again={again} />
        ))}
      </ul>
      <p class="help">{texts.downloads.expires(when(ends))}</p>
    </section>
  );
}

function Download({ name, link, again }: { name: string; link: ResultLink; again: DownloadsProps["again"] }) {
  const take = async (event: MouseEvent) => {
    event.preventDefault();
    const fresh = (await again())?.[name];
    if (fresh) fetchFile(fresh);
  };
  const format = texts.downloads.formats[link.type.split(";")[0] ?? ""] ?? link.type;
  return (
    <li>
      <a href={link.href} download={link.filename} onClick={(event) => void take(event)}>
        {link.title}
      </a>
      <small>
        {texts.downloads.about[name]} · {format}, {bytes(link["file:size"])}
      </small>
    </li>
  );
}

function fetchFile(link: ResultLink): void {
  const anchor = document.createElement("a");
  anchor.href = link.href;
  anchor.download = link.filename;
  anchor.click();
}
