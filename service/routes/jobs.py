"""Jobs: the list, one job, and its dismissal."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from jobs.errors import WrongTransition
from jobs.public.bodies import JobList, Link, StatusInfo
from jobs.public.status import POLL_SECONDS, known_id, status_info
from jobs.record import FINAL_STATES
from service.access import OwnJob, Reader, Submitter
from service.state import Parts

router = APIRouter(tags=["Jobs"])


@router.get("/jobs", response_model_exclude_none=True, summary="List the jobs, newest first")
def job_list(
    caller: Reader,
    parts: Parts,
    limit: Annotated[int, Query(ge=1, le=1000, description="jobs a page")] = 50,
    before: Annotated[str | None, Query(description="start after this job; the next link sets it")] = None,
) -> JobList:
    """Return a page of jobs, and a `next` link where there are more."""
    url = parts.settings.public_url
    found = parts.jobs.jobs(limit=limit + 1, before=known_id(before) if before else None)
    shown = found[:limit]
    here = {"limit": limit} | ({"before": before} if before else {})
    links = [Link(href=f"{url}/jobs?{urlencode(here)}", rel="self", title="This page")]
    if len(found) > limit:
        further = urlencode({"limit": limit, "before": shown[-1].job})
        links.append(Link(href=f"{url}/jobs?{further}", rel="next", title="Older jobs"))
    return JobList(jobs=[status_info(record, url) for record in shown], links=links)


@router.get("/jobs/{job}", response_model_exclude_none=True, summary="How a job stands")
def job_status(job: OwnJob, parts: Parts, response: Response) -> StatusInfo:
    """Return a job's state, progress and warnings; Retry-After says when to ask again."""
    record = parts.jobs.read(job)
    response.headers["Cache-Control"] = "no-store"
    if record.state not in FINAL_STATES:
        response.headers["Retry-After"] = str(POLL_SECONDS)
    return status_info(record, parts.settings.public_url)


@router.delete("/jobs/{job}", response_model_exclude_none=True, summary="Dismiss a job")
def dismiss(job: OwnJob, _: Submitter, parts: Parts) -> StatusInfo:
    """Stop a job, or delete a finished one's outputs. Dismissing twice is dismissing once."""
    try:
        record = parts.jobs.dismiss(job)
    except WrongTransition:
        record = parts.jobs.read(job)
        if record.state != "dismissed":
            raise
    return status_info(record, parts.settings.public_url)
