"""Jobs: the list, one job, and its dismissal."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from jobs.errors import WrongTransition
from jobs.public.bodies import JSON, AskedFor, JobList, Link, StatusInfo
from jobs.public.status import POLL_SECONDS, status_info
from jobs.record import FINAL_STATES
from service.access import KEYED, OwnJob, Reader, Submitter, own_job_of
from service.listing import JobQuery, find_jobs
from service.state import Parts, state_of

router = APIRouter(tags=["Jobs"])


@router.get("/jobs", response_model_exclude_none=True, summary="List the jobs, newest first")
def job_list(caller: Reader, parts: Parts, query: Annotated[JobQuery, Query()]) -> JobList:
    """Return a page of the caller's jobs that fit the query, and a `next` link where there may be more."""
    url = parts.settings.public_url
    page = find_jobs(parts.jobs, caller.tenant, query)
    links = [Link(href=f"{url}/jobs?{query.following(query.before)}", rel="self", title="This page")]
    if page.further:
        links.append(Link(href=f"{url}/jobs?{query.following(page.further)}", rel="next", title="Older jobs"))
    return JobList(jobs=[status_info(record, url) for record in page.jobs], links=links)


@router.get(
    "/jobs/{job}",
    response_model=StatusInfo,
    response_model_exclude_none=True,
    summary="How a job stands",
    openapi_extra=KEYED,
)
async def job_status(job: str, request: Request) -> Response:  # noqa: ARG001 - the path's, for the contract
    """Return a job's state, progress and warnings; Retry-After says when to ask again."""
    return await status_answer(request)


async def status_answer(request: Request) -> Response:
    """Answer `GET /jobs/{job}`; nothing else is asked so often."""
    own, parts = await own_job_of(request), state_of(request)
    record = await parts.standing.read(own)
    headers = {"Cache-Control": "no-store"}
    if record.state not in FINAL_STATES:
        headers["Retry-After"] = str(POLL_SECONDS)
    body = status_info(record, parts.settings.public_url).model_dump_json(exclude_none=True)
    return Response(body, media_type=JSON, headers=headers)


class StatusRoute(Route):
    """The same answer as the route of the contract, without what FastAPI does around it, which takes longer."""

    def __init__(self) -> None:
        super().__init__("/jobs/{job}", status_answer, methods=["GET"])

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as every route does, and name itself in the scope as FastAPI's do: metrics are counted by it."""
        found, child = super().matches(scope)
        return found, {**child, "route": self}


@router.get("/jobs/{job}/request", summary="What a job was asked")
def job_request(job: OwnJob, parts: Parts, response: Response) -> AskedFor:
    """Return the body a job was started with, whatever became of it, to be shown or sent again."""
    asked = parts.jobs.request(job)
    execute = {name: value for name, value in asked.execute.items() if name != "subscriber"}
    response.headers["Cache-Control"] = "no-store"
    return AskedFor(jobID=asked.job, processID=asked.process, created=asked.created, execute=execute)


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
