/** The same things as the page does, for programs: curl, Python, QGIS and other web pages. */

import { base, here } from "../api/here";
import { key } from "../api/key";
import type { TileJson } from "../api/types";

function service(): string {
  return base().replace(/\/$/, "");
}

function needsKey(): boolean {
  return key.value !== "";
}

/** Return a word of a POSIX shell: single quotes in it are closed, escaped and opened again. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** Return a command for a POSIX shell. */
export function curlOf(process: string, body: unknown): string {
  const auth = needsKey() ? ` \\\n  -H "Authorization: Bearer $KEY"` : "";
  const address = quoted(`${service()}/processes/${process}/execution`);
  const json = quoted(JSON.stringify(body));
  return `curl -s -X POST ${address}${auth} \\\n  -H 'Content-Type: application/json' \\\n  -d ${json}`;
}

export function curlOfResults(job: string): string {
  const auth = needsKey() ? ` -H "Authorization: Bearer $KEY"` : "";
  return `curl -s${auth} ${quoted(`${service()}/jobs/${job}/results`)}`;
}

/** Return a script that starts the job, waits for it, and fetches every output; it needs `requests` alone. */
export function pythonOf(process: string, body: unknown): string {
  const headers = needsKey() ? `\napi.headers["Authorization"] = f"Bearer {os.environ['KEY']}"` : "";
  return `import json${needsKey() ? ", os" : ""}, time
import requests

service = ${JSON.stringify(service())}
api = requests.Session()${headers}

def ask(method, path, **told):
    answer = api.request(method, service + path, timeout=60, **told)
    answer.raise_for_status()
    return answer.json()

body = json.loads(${pythonText(JSON.stringify(body))})
job = ask("POST", "/processes/${process}/execution", json=body)
while job["status"] in ("accepted", "running"):
    time.sleep(2)
    job = ask("GET", f"/jobs/{job['jobID']}")
    print(job["status"], job["progress"], "%")
for name, link in ask("GET", f"/jobs/{job['jobID']}/results").items():
    with open(link["filename"], "wb") as file:
        file.write(requests.get(link["href"], timeout=600).content)
    print(name, link["filename"])
`;
}

/** Return a Python literal of a text; JSON's escapes are Python's own. */
function pythonText(text: string): string {
  return JSON.stringify(text);
}

/** Return what QGIS takes as the address of an XYZ layer. */
export function qgisOf(tiles: TileJson): string {
  return here(tiles.tiles[0]);
}

export function embedOf(tiles: TileJson): string {
  const self = tiles.links.find((link) => link.rel === "self")?.href ?? "";
  return `map.addSource("cityzones", {type: "raster", url: ${JSON.stringify(here(self))}, tileSize: 256});
map.addLayer({id: "cityzones", type: "raster", source: "cityzones", paint: {"raster-resampling": "nearest"}});
`;
}
