"""What happened to a job: its own log lines, and its status as a stream of events."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from jobs.logs import MOST_LINES
from jobs.public.bodies import JSON, Link, LogLineBody, LogLines
from service.access import OwnJob, Reader
from service.events import MEDIA_TYPE, Follower, Streams
from service.state import Parts

router = APIRouter(tags=["Jobs"])

# Before OpenAPI 3.2 a stream has no words of its own: this is one event, whose fields are lines of text.
_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "event": {"const": "status"},
        "id": {"type": "string", "description": "send the last one as Last-Event-ID to go on from it"},
        "data": {
            "type": "string",
            "contentMediaType": JSON,
            "contentSchema": {"$ref": "#/components/schemas/StatusInfo"},
        },
        "retry": {"type": ["integer", "string"], "description": "milliseconds until the client should come again"},
    },
}


@router.get("/jobs/{job}/logs", response_model_exclude_none=True, summary="The job's own log lines")
def job_logs(
    job: OwnJob,
    parts: Parts,
    after: Annotated[int, Query(ge=0, le=MOST_LINES, description="skip so many lines; the next link sets it")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="lines a page")] = 200,
) -> LogLines:
    """Return what the job's steps told, oldest first. The `next` link goes on where the page ends."""
    found = parts.jobs.logs.read(job, after=after, limit=limit)
    here = f"{parts.settings.public_url}/jobs/{job}"
    links = [
        Link(href=f"{here}/logs?after={after}&limit={limit}", rel="self", title="This page"),
        Link(href=here, rel="up", title="The job"),
    ]
    if len(found) == limit:
        further = f"{here}/logs?after={after + limit}&limit={limit}"
        links.append(Link(href=further, rel="next", title="Later lines"))
    lines = [LogLineBody(number=number, **line.model_dump()) for number, line in enumerate(found, after + 1)]
    return LogLines(lines=lines, links=links)


@router.get(
    "/jobs/{job}/events",
    response_class=Response,
    summary="The job's status as it changes (Server-Sent Events)",
    responses={
        200: {"content": {MEDIA_TYPE: {"schema": _EVENT}}, "description": "events named status"},
        204: {"description": "the last event seen was the job's last; a browser's EventSource stops here"},
    },
)
async def job_events(
    job: OwnJob,
    caller: Reader,
    request: Request,
    parts: Parts,
    last_event_id: Annotated[str | None, Header(description="the id of the last event seen")] = None,
) -> Response:
    """Send the job's statusInfo now and whenever it changes, until the job has ended.

    Every event is the whole status, so one that was missed is made good by the next.
    """
    streams: Streams = request.app.state.streams
    streams.check(caller.tenant)
    follower = Follower(job, caller.tenant, parts, streams, last_event_id)
    if await follower.has_it_all():
        return Response(status_code=204)
    return StreamingResponse(follower.stream(), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})
