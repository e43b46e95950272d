"""What can be mapped: the list of processes and each one's description."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from jobs.public.bodies import Link, Process, ProcessList
from service.processes import describe, process_ids, summary
from service.state import Parts

router = APIRouter(tags=["Processes"])


@router.get("/processes", summary="List the processes")
def process_list(
    parts: Parts,
    limit: Annotated[int, Query(ge=1, le=10_000, description="processes a page")] = 10,
    offset: Annotated[int, Query(ge=0, le=10_000, description="skip so many; the next link sets it")] = 0,
) -> ProcessList:
    """Return the processes in short, and a `next` link where there are more."""
    here, known = f"{parts.settings.public_url}/processes", process_ids()
    links = [Link(href=f"{here}?limit={limit}&offset={offset}", rel="self", title="This page")]
    if len(known) > offset + limit:
        links.append(Link(href=f"{here}?limit={limit}&offset={offset + limit}", rel="next", title="More processes"))
    shown = [summary(process, parts.settings.public_url) for process in known[offset : offset + limit]]
    return ProcessList(processes=shown, links=links)


@router.get("/processes/{process}", summary="Describe a process")
def process_description(process: str, parts: Parts) -> Process:
    """Return a process in full: inputs and outputs with schemas, models, classes with colours, limits."""
    return describe(process, parts.settings)
