"""Examines what is asked over HTTP: the service at its public address, and the STAC catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import httpx

from jobs.metrics import software_version
from jobs.settings import Settings
from service.doctor.clocks import compare_clocks
from service.doctor.findings import Finding, Notes

_SECONDS: Final = 10.0


def examine_interface(settings: Settings) -> Iterator[Finding]:
    """Yield whether the service answers where clients look for it, and is ready."""
    notes, url = Notes("interface"), settings.public_url
    try:
        with httpx.Client(timeout=_SECONDS) as client:
            ready, offered = client.get(f"{url}/readyz"), client.get(f"{url}/processes")
    except httpx.HTTPError as error:
        yield notes.fault(
            "reach", f"{url} does not answer: {error or type(error).__name__}",
            "start the service, and check CITYZONES_PUBLIC_URL, its certificate and the proxy before it",
        )  # fmt: skip
        return
    if ready.status_code == httpx.codes.OK:
        yield notes.ok("ready", f"{url} is ready")
    else:
        said = _json(ready).get("detail", "nothing the service would say: another one answers there")
        yield notes.fault("ready", f"{url} answers {ready.status_code}: {said}", "mend the parts it names")
    yield _version(notes, _json(offered))
    yield compare_clocks(notes, "the service", ready.headers.get("date"))


def _version(notes: Notes, offered: dict[str, Any]) -> Finding:
    ours, theirs = software_version(), {str(process["version"]) for process in offered.get("processes", [])}
    if theirs != {ours}:
        return notes.warning(
            "version", f"the service runs {', '.join(sorted(theirs)) or 'an unknown version'}, this is {ours}",
            "run the doctor of the version that is served, or finish the upgrade",
        )  # fmt: skip
    return notes.ok("version", ours)


def examine_catalogue(settings: Settings) -> Iterator[Finding]:
    """Yield whether the catalogues that requests may name answer as STAC does."""
    notes = Notes("catalogue")
    for url in settings.catalogues:
        mend = "let this machine and the workers reach it, or set CITYZONES_STAC_URL to one they reach"
        try:
            answer = httpx.get(url, timeout=settings.stac_timeout, follow_redirects=True)
        except httpx.HTTPError as error:
            yield notes.fault("reach", f"{url} does not answer: {type(error).__name__}", mend)
            continue
        if "stac_version" in _json(answer):
            yield notes.ok("reach", f"{url} answers")
        else:
            yield notes.fault("reach", f"{url} answers {answer.status_code}, and no STAC", mend)


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
