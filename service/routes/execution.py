"""Starts jobs."""

from __future__ import annotations

from typing import Any

import anyio
from fastapi import APIRouter, Request, Response

from jobs.public.bodies import JSON, StatusInfo
from jobs.public.problems import RequestError
from jobs.public.status import POLL_SECONDS, status_info
from jobs.request import Execute
from service.access import Submitter
from service.examples import EXECUTE_EXAMPLES
from service.execution import submit
from service.state import Parts

router = APIRouter(tags=["Jobs"])

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": Execute.model_json_schema(ref_template="#/components/schemas/{model}"),
                "examples": EXECUTE_EXAMPLES,
            }
        },
    }
}


@router.post(
    "/processes/{process}/execution",
    status_code=201,
    response_model_exclude_none=True,
    summary="Start a job",
    openapi_extra=_BODY,
    responses={
        201: {
            "headers": {
                "Location": {"description": "the job", "schema": {"type": "string", "format": "uri"}},
                "Preference-Applied": {"schema": {"type": "string", "const": "respond-async"}},
            }
        }
    },
)
async def execute(process: str, request: Request, response: Response, caller: Submitter, parts: Parts) -> StatusInfo:
    """Check the request, keep it, put it in the queue, and answer where to follow it. Every job is asynchronous."""
    require_json(request)
    body = await request.body()
    record = await anyio.to_thread.run_sync(submit, process, body, caller, parts)
    url = parts.settings.public_url
    response.headers["Location"] = f"{url}/jobs/{record.job}"
    response.headers["Preference-Applied"] = "respond-async"
    response.headers["Retry-After"] = str(POLL_SECONDS)
    return status_info(record, url)


def require_json(request: Request) -> None:
    """Raise RequestError unless the body says it is JSON."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        detail = f"the body's Content-Type is {kind or 'missing'}; send application/json"
        raise RequestError("unsupported-media-type", detail)
