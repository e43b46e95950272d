import { execFileSync } from "node:child_process";
import { beforeEach, describe, expect, it } from "vitest";
import { forgetKey, giveKey } from "../src/api/key";
import type { TileJson } from "../src/api/types";
import { curlOf, curlOfResults, embedOf, pythonOf, qgisOf } from "../src/parts/snippets";
import { comeFrom } from "./browser";

const TITLES = [
  "Praha",
  "it's 'quoted'",
  '"double" and \\ backslash \\n',
  "$(id) `id` $HOME $KEY !! %s",
  "two\nlines\r\n\tand a tab",
  "'; rm -rf / #",
  '"""; import os #',
  "\u0000\u0007\u007f\u2028\u2029\ufeff",
  "Žižkov 日本 🏙️ \ud800",
  "-n @file &|<>*?[a]{b,c}~",
  "'".repeat(500),
];
const LIMIT = 5000;

const bodyOf = (title: string) => ({ inputs: { title, imagery: { job: "job_0" } } });

/** Return the words a shell makes of a command, in place of running it. */
function wordsOf(command: string): string[] {
  const script = `curl() { for word; do printf '%s\\0' "$word"; done; }\nKEY=secret\n${command}\n`;
  const told = execFileSync("sh", ["-eu", "-c", script], { encoding: "utf8", timeout: LIMIT });
  return told.split("\0").slice(0, -1);
}

const CHECK = `import ast, json, sys
found = []
for script in json.loads(sys.stdin.read()):
    calls = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Call)]
    [text] = [ast.literal_eval(call.args[0]) for call in calls if ast.unparse(call.func) == "json.loads"]
    services = [node.value for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Assign)
                and ast.unparse(node.targets[0]) == "service"]
    found.append({"body": json.loads(text), "service": ast.literal_eval(services[0])})
print(json.dumps(found))
`;

/** Parse scripts as Python does, and return what they would send and where to. */
function pythonsOf(scripts: string[]): { body: unknown; service: string }[] {
  const input = JSON.stringify(scripts);
  return JSON.parse(execFileSync("python3", ["-c", CHECK], { encoding: "utf8", input, timeout: LIMIT }));
}

beforeEach(() => {
  forgetKey();
  comeFrom("https://maps.example/lcz/index.html");
});

describe("curl", () => {
  it.each(TITLES)("hands the title %j to the service unchanged", (title) => {
    const words = wordsOf(curlOf("local-climate-zones", bodyOf(title)));
    expect(words.slice(0, -1)).toEqual([
      "-s",
      "-X",
      "POST",
      "https://maps.example/lcz/processes/local-climate-zones/execution",
      "-H",
      "Content-Type: application/json",
      "-d",
    ]);
    expect(JSON.parse(words.at(-1) ?? "")).toEqual(bodyOf(title));
  });

  it("takes the key from the shell, so that no key is copied about", () => {
    giveKey("kept-key");
    const commands = [curlOf("land-cover", {}), curlOfResults("job_0")];
    expect(commands.join()).not.toContain("kept-key");
    for (const command of commands) expect(wordsOf(command)).toContain("Authorization: Bearer secret");
  });

  it("asks for results below the same prefix, whatever is in it", () => {
    expect(wordsOf(curlOfResults("job_0"))).toEqual(["-s", "https://maps.example/lcz/jobs/job_0/results"]);
    comeFrom("https://maps.example/o'brien;id&$(id)/");
    expect(wordsOf(curlOfResults("job_0")).at(-1)).toBe("https://maps.example/o'brien;id&$(id)/jobs/job_0/results");
    expect(wordsOf(curlOf("land-cover", {}))[3]).toMatch("https://maps.example/o'brien;id&$(id)/processes/");
  });
});

describe("Python", () => {
  it("is a script that sends every title unchanged", () => {
    const found = pythonsOf(TITLES.map((title) => pythonOf("local-climate-zones", bodyOf(title))));
    expect(found.map(({ body }) => body)).toEqual(TITLES.map(bodyOf));
    expect(new Set(found.map(({ service }) => service))).toEqual(new Set(["https://maps.example/lcz"]));
  });

  it("takes the key from the environment", () => {
    giveKey("kept-key");
    comeFrom("https://maps.example/o'brien/");
    const script = pythonOf("land-cover", bodyOf("Praha"));
    expect(script).not.toContain("kept-key");
    expect(script).toContain("os.environ['KEY']");
    expect(script).toMatch(/^import json, os, time$/m);
    expect(pythonsOf([script])).toEqual([{ body: bodyOf("Praha"), service: "https://maps.example/o'brien" }]);
  });
});

describe("tiles for others", () => {
  const links = [{ rel: "self", href: "http://inside:3000/jobs/job_0/tiles?signature=a%2Bb", title: "" }];
  const tiles = { tiles: ["http://inside:3000/jobs/job_0/tiles/{z}/{x}/{y}.png?signature=a%2Bb"], links };

  it("have the address the page came from, and keep their signature", () => {
    expect(qgisOf(tiles as unknown as TileJson)).toBe(
      "https://maps.example/lcz/jobs/job_0/tiles/{z}/{x}/{y}.png?signature=a%2Bb",
    );
    expect(embedOf(tiles as unknown as TileJson)).toContain(
      'url: "https://maps.example/lcz/jobs/job_0/tiles?signature=a%2Bb"',
    );
  });

  it("are added to another page's map by a script", () => {
    const made: unknown[] = [];
    const map = { addSource: (...told: unknown[]) => made.push(told), addLayer: (told: unknown) => made.push(told) };
    new Function("map", embedOf(tiles as unknown as TileJson))(map);
    expect(made).toMatchObject([
      ["cityzones", { type: "raster", tileSize: 256 }],
      { id: "cityzones", type: "raster", source: "cityzones" },
    ]);
  });
});
