"""Bills of materials in CycloneDX 1.6: what runs in the service and worker, in Triton, and in the browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema import Draft7Validator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rfc3986_validator import validate_rfc3986

from supply.locks import ROOT, Pin, asked, pins

SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.6.schema.json"
Bill = dict[str, Any]


class UnfitEnvironment(Exception):
    """What is installed is not what the lock says, or cannot be listed; building it again mends that."""


def python_bill(lock: str, interpreter: Path | str, *, name: str) -> Bill:
    """Return the bill of an environment's packages, those of its lock alone, with the lock's hashes.

    Test tools and the train extra, which share the environment on a developer's machine, are left out.
    Raises UnfitEnvironment where a package of the lock is missing or has another version.
    """
    command = [sys.executable, "-m", "cyclonedx_py", "environment", str(interpreter)]
    command += ["--output-reproducible", "--spec-version", "1.6", "--output-format", "JSON", "--no-validate"]
    told = json.loads(_output(command))
    wanted = pins(lock)
    found: dict[str, Bill] = {canonicalize_name(each["name"]): each for each in told["components"]}
    wrong = [pin.name for pin in wanted.values() if str(found.get(pin.name, {}).get("version")) != str(pin.version)]
    if wrong:
        msg = f"not installed as requirements/{lock}.txt says: {', '.join(wrong)}; run `make environments`"
        raise UnfitEnvironment(msg)
    parts = [_hashed(found[each], wanted[each]) for each in sorted(wanted)]
    direct: set[str] = {canonicalize_name(Requirement(each).name) for each in asked(lock)}
    return _bill(name, parts, told["dependencies"], direct)


def web_bill() -> Bill:
    """Return the bill of the packages the web page is built from and takes to browsers, off its lock.

    `npm sbom --omit dev` also omits what both the page and its tools need, so the lock tells which are the page's.
    """
    npm = ["npm", "--prefix", str(ROOT / "web"), "sbom", "--sbom-format", "cyclonedx", "--package-lock-only"]
    told = json.loads(_output(npm))
    locked = json.loads((ROOT / "web/package-lock.json").read_text())["packages"]
    kept = {place.rpartition("node_modules/")[2] for place, each in locked.items() if not each.get("dev")}
    parts = [_without(each, "properties", "externalReferences") for each in told["components"] if each["name"] in kept]
    direct = set(json.loads((ROOT / "web/package.json").read_text())["dependencies"])
    return _bill("cityzones-web", sorted(parts, key=lambda part: str(part["bom-ref"])), told["dependencies"], direct)


BILLS: Final[Mapping[str, Callable[[], Bill]]] = {
    "main": lambda: python_bill("main", sys.executable, name="cityzones"),
    "triton": lambda: python_bill("triton", ROOT / ".triton/bin/python", name="cityzones-triton"),
    "web": web_bill,
}


def is_iri_reference(told: object) -> bool:
    """Return whether a value of a bill is an IRI reference: a URI reference once all else than ASCII is escaped.

    By RFC 3987, 3.1. jsonschema checks it itself only with a package that every process would wait for: see
    docs/development.md.
    """
    if not isinstance(told, str):
        return True
    escaped = "".join(each if each.isascii() else quote(each) for each in told)
    return bool(validate_rfc3986(escaped, rule="URI_reference"))


Draft7Validator.FORMAT_CHECKER.checks("iri-reference")(is_iri_reference)


def as_json(bill: Bill) -> str:
    """Return a bill's text, the same for the same bill; raises ValueError where the schema of 1.6 forbids it."""
    text = json.dumps(bill, indent=2, sort_keys=True) + "\n"
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(str(error))
    return text


def _bill(name: str, parts: list[Bill], edges: list[Bill], direct: set[str]) -> Bill:
    """Return what every bill says; `edges` may name parts that are not in it, which are left out."""
    known = {str(each["bom-ref"]) for each in parts}
    graph = {each["ref"]: sorted(known.intersection(each.get("dependsOn", ()))) for each in edges}
    graph = {ref: graph.get(ref, []) for ref in sorted(known)}
    roots = sorted(str(each["bom-ref"]) for each in parts if direct & {each["name"], canonicalize_name(each["name"])})
    root = {"bom-ref": "root", "type": "application", "name": name, "licenses": [{"license": {"id": "Apache-2.0"}}]}
    return {
        "$schema": SCHEMA, "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"component": root}, "components": parts,
        "dependencies": [{"ref": ref, "dependsOn": inner} for ref, inner in ({"root": roots} | graph).items()],
    }  # fmt: skip


def _hashed(part: Bill, pin: Pin) -> Bill:
    """Return a component with the digests of all the files its version has in the index: one of them is installed."""
    kept = _without(part, "externalReferences", "properties")
    hashes = [{"alg": "SHA-256", "content": digest} for digest in pin.hashes]
    return kept | {"externalReferences": [{"type": "distribution", "url": part["purl"], "hashes": hashes}]}


def _without(part: Bill, *names: str) -> Bill:
    return {name: value for name, value in part.items() if name not in names}


def ask(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; npm is the one that `make` installed where the machine has none that fits."""
    path = os.pathsep.join([str(ROOT / ".node/bin"), os.environ.get("PATH", os.defpath)])
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PATH": path})


def _output(command: list[str]) -> str:
    done = ask(command)
    if done.returncode:
        msg = f"`{' '.join(command)}` failed:\n{done.stderr.strip()}"
        raise UnfitEnvironment(msg)
    return done.stdout


def main(folder: Path) -> None:
    """Write one file a bill: cityzones-main.cdx.json and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, bill in BILLS.items():
        made = bill()
        path = folder / f"cityzones-{name}.cdx.json"
        path.write_text(as_json(made))
        print(f"{path}: {len(made['components'])} packages")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / "sbom")
