"""Starts jobs."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header, Request, Response

from jobs.asking import BODIES
from jobs.public.bodies import JSON, Estimate, StatusInfo
from jobs.public.problems import RequestError
from jobs.public.status import POLL_SECONDS, status_info
from service.access import Submitter
from service.asking import check_request
from service.estimates import estimate_job
from service.examples import EXECUTE_EXAMPLES
from service.execution import decode, submit
from service.state import Parts

router = APIRouter(tags=["Jobs"])

_KEY = "1-255 visible ASCII characters of your choice; within a day, the same key and body are the same job"

_TEMPLATE = "#/components/schemas/{model}"
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {"anyOf": [kind.model_json_schema(ref_template=_TEMPLATE) for kind in BODIES]},
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
)
async def execute(
    *,
    process: str,
    request: Request,
    response: Response,
    caller: Submitter,
    parts: Parts,
    idempotency_key: Annotated[str | None, Header(description=_KEY)] = None,
) -> StatusInfo:
    """Check the request, keep it, put it in the queue, and answer where to follow it. Every job is asynchronous."""
    require_json(request)
    body = await request.body()
    work = partial(submit, process, body, caller, parts, key=idempotency_key)
    submitted = await anyio.to_thread.run_sync(work, limiter=request.app.state.submitting.here())
    url, record = parts.settings.public_url, submitted.record
    response.headers["Location"] = f"{url}/jobs/{record.job}"
    response.headers["Preference-Applied"] = "respond-async"
    response.headers["Retry-After"] = str(POLL_SECONDS)
    if submitted.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return status_info(record, url)


def require_json(request: Request) -> None:
    """Raise RequestError unless the body says it is JSON."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        detail = f"the body's Content-Type is {kind or 'missing'}; send application/json"
        raise RequestError("unsupported-media-type", detail)


@router.post(
    "/processes/{process}/estimate",
    response_model_exclude_none=True,
    summary="Tell what a job would come to",
    openapi_extra=_BODY,
)
async def estimate(process: str, request: Request, caller: Submitter, parts: Parts) -> Estimate:
    """Check the request as an execution does and tell its size, time and scenes; nothing is created or counted."""
    require_json(request)
    body = decode(await request.body())
    return await anyio.to_thread.run_sync(lambda: estimate_job(check_request(process, body, caller, parts), parts))
