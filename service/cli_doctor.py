"""`cityzones doctor`: examines an installation and says what to mend."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Final, Literal

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rich.table import Table
from rich.text import Text

from jobs.settings import Settings
from service.cli_map import FAILED, AsJson, console
from service.doctor.findings import Finding, State

_STYLES: Final = {"ok": "green", "warning": "yellow", "fault": "red"}


def doctor(
    skip: Annotated[list[str] | None, typer.Option(help="An area to leave out; may be given again.")] = None,
    log_level: Annotated[Literal["DEBUG", "CRITICAL"], typer.Option(help="DEBUG shows what failed.")] = "CRITICAL",
    as_json: AsJson = False,
) -> None:
    """Examine settings, storage, queue, model server, workers and service; exits 1 where something must be mended.

    It needs the service's settings, as recover does, and is best run beside a worker. All it writes are a few small
    objects, and it removes them.
    """
    from service.doctor import AREAS, examine  # noqa: PLC0415 - clients of everything, that no other command needs

    unknown = set(skip or []) - set(AREAS)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: areas are {', '.join(AREAS)}", param_hint="--skip")
    logging.basicConfig(level=log_level)
    try:
        found = examine(Settings(), skipped=skip or [])
    except ValidationError as error:
        found = [_disagreement(fault) for fault in error.errors()]
    counts = Counter(finding.state for finding in found)
    if as_json:
        findings = [asdict(finding) for finding in found]
        told = {"faults": counts["fault"], "warnings": counts["warning"], "findings": findings}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        _show(found, counts)
    if counts["fault"]:
        raise typer.Exit(FAILED)


def _disagreement(fault: ErrorDetails) -> Finding:
    """Return what pydantic says of a setting, without its value, which may be a secret."""
    name = "CITYZONES_" + "_".join(str(part) for part in fault["loc"][:1]).upper() if fault["loc"] else "together"
    return Finding("settings", name, "fault", fault["msg"], "see docs/settings.md; nothing starts with these settings")


def _show(found: Sequence[Finding], counts: Counter[State]) -> None:
    table = Table("area", "check", "", "found", "what to do")
    for finding in found:
        state = Text(finding.state, style=_STYLES[finding.state])
        table.add_row(finding.area, finding.check, state, Text(finding.said), Text(finding.mend or ""))
    console.print(table)
    console.print(f"{counts['fault']} faults, {counts['warning']} warnings, {counts['ok']} checks without any")
