"""What can be mapped: the list of processes and each one's description."""

from __future__ import annotations

from fastapi import APIRouter

from jobs.public.bodies import Link, Process, ProcessList
from service.processes import describe, offered, summary
from service.state import Parts

router = APIRouter(tags=["Processes"])


@router.get("/processes", summary="List the processes")
def process_list(parts: Parts) -> ProcessList:
    """Return every process in short."""
    url = parts.settings.public_url
    return ProcessList(
        processes=[summary(process, url) for process in offered()],
        links=[Link(href=f"{url}/processes", rel="self", title="Processes")],
    )


@router.get("/processes/{process}", summary="Describe a process")
def process_description(process: str, parts: Parts) -> Process:
    """Return a process in full: inputs and outputs with schemas, models, classes with colours, limits."""
    return describe(process, parts.settings)
