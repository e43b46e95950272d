"""Asks advisory services about every locked package; a service that cannot be asked is told, never taken for a yes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, Final

import httpx
import typer

from supply.locks import ROOT, locks, pins
from supply.sbom import ask

OSV: Final = "https://api.osv.dev/v1/query"
# A release with advisories that stay: a service that knows none of it does not know what it is asked.
_CANARY: Final = {"package": {"name": "jinja2", "ecosystem": "PyPI"}, "version": "2.4.1"}


class Outcome(IntEnum):
    """How an audit ends, as the exit status of the command."""

    CLEAN = 0
    VULNERABLE = 1
    FAILED = 2
    UNREACHABLE = 3


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found, and a line for each finding."""

    outcome: Outcome
    lines: tuple[str, ...] = ()


def ask_python(url: str, *, seconds: float = 15.0) -> Report:
    """Ask the OSV service at `url` about every pin of the Python locks, by pip-audit."""
    try:
        known = httpx.post(url, json=_CANARY, timeout=seconds).raise_for_status().json().get("vulns")
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        return Report(Outcome.UNREACHABLE, (f"{url} does not answer as an advisory service: {error!r}",))
    if not known:
        return Report(Outcome.UNREACHABLE, (f"{url} knows nothing of a release with advisories: no advisory service",))
    reports = [_pip_audit(lock, url, seconds) for lock in locks()]
    lines = dict.fromkeys(line for report in reports for line in report.lines)
    return Report(worst(report.outcome for report in reports), tuple(lines))


def _pip_audit(lock: str, url: str, seconds: float) -> Report:
    """Audit one lock: pip-audit takes two versions of a package, of different locks, for a mistake."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner", "off"]
    command += ["--vulnerability-service", "osv", "--osv-url", url, "--timeout", str(int(seconds)), "--format", "json"]
    command += ["--requirement", str(ROOT / "requirements" / f"{lock}.txt")]
    done = ask(command)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return Report(Outcome.FAILED, (f"pip-audit failed: {done.stderr.strip()[-2000:]}",))
    skipped = [f"{each['name']}: {each['skip_reason']}" for each in packages if "skip_reason" in each]
    if skipped or len(packages) < len(pins(lock)):
        return Report(Outcome.FAILED, (f"pip-audit left packages of {lock}.txt out", *skipped))
    found = sorted({line for each in packages for line in _of_python(each)})
    return Report(Outcome.VULNERABLE if found else Outcome.CLEAN, tuple(found))


def _of_python(package: Mapping[str, Any]) -> list[str]:
    what = f"{package['name']} {package['version']}"
    return [f"{what}: {each['id']}, mended in {', '.join(each['fix_versions']) or 'none'}" for each in package["vulns"]]


def ask_npm(registry: str | None = None) -> Report:
    """Ask npm's registry about every package of the web page's lock, by `npm audit`."""
    command = ["npm", "--prefix", str(ROOT / "web"), "audit", "--json", "--package-lock-only", "--fetch-retries=0"]
    command += [f"--registry={registry}"] if registry else []
    done = ask(command)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return Report(Outcome.FAILED, (f"npm audit failed: {done.stderr.strip()[-2000:]}",))
    if "vulnerabilities" not in told:
        why = told.get("message") or told.get("error", {}).get("summary") or "it told no reason"
        return Report(Outcome.UNREACHABLE, (f"npm's registry could not be asked: {why}",))
    found = sorted(line for each in told["vulnerabilities"].values() for line in _of_npm(each))
    return Report(Outcome.VULNERABLE if found else Outcome.CLEAN, tuple(found))


def _of_npm(package: Mapping[str, Any]) -> list[str]:
    """Return a line an advisory of the package itself; `via` also names packages that it only depends on."""
    told = [each for each in package["via"] if isinstance(each, dict)]
    return [f"{each['name']} {each['range']}: {each['title']} ({each['url']})" for each in told]


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return what matters most of these: an advisory, then a failure, then a service that could not be asked."""
    found = set(outcomes)
    order = (Outcome.VULNERABLE, Outcome.FAILED, Outcome.UNREACHABLE)
    return next((each for each in order if each in found), Outcome.CLEAN)


def verdict(reports: Mapping[str, Report], *, tolerant: bool) -> Outcome:
    """Print what was found and return the exit status: the worst outcome, where UNREACHABLE may be tolerated."""
    for name, report in reports.items():
        print(f"{name}: {report.outcome.name.lower()}")
        for line in report.lines:
            print(f"  {line}")
    if any(report.outcome is Outcome.UNREACHABLE for report in reports.values()):
        print("WARNING: not audited, as an advisory service could not be asked", file=sys.stderr)
    ends = worst(report.outcome for report in reports.values())
    return Outcome.CLEAN if tolerant and ends is Outcome.UNREACHABLE else ends


def main(
    osv_url: Annotated[str, typer.Option(help="the OSV service asked about Python packages")] = OSV,
    npm_registry: Annotated[str | None, typer.Option(help="the registry asked about the web page's ones")] = None,
    *,
    tolerant: Annotated[bool, typer.Option("--tolerant", help="exit 0, with a warning, where none is reached")] = False,
) -> None:
    """Audit the locks. Exits 0: no advisory; 1: advisories; 2: the audit failed; 3: a service could not be asked."""
    reports = {"Python": ask_python(osv_url), "npm": ask_npm(npm_registry)}
    raise typer.Exit(verdict(reports, tolerant=tolerant))


if __name__ == "__main__":
    typer.run(main)
