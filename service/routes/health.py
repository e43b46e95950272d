"""Operations: whether the service lives, whether its parts answer, and what it has counted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from jobs.probes import OK, PARTS, Part
from jobs.public import problems
from service.doorkeeper import Doorkeeper, check_scraper, key_in
from service.handlers import ProblemResponse
from service.health import Health, health, health_in_full
from service.probes import Probes
from service.state import Parts
from service.telemetry import Metrics

router = APIRouter(tags=["Operations"])


@router.get("/livez", summary="Whether the process answers")
async def livez() -> dict[str, str]:
    """Answer; no other part is asked, so that an outage elsewhere restarts nothing here."""
    return {"status": "ok"}


@router.get("/readyz", summary="Whether every part answers")
async def readyz(
    request: Request,
    parts: Parts,
    exclude: Annotated[list[Part] | None, Query(description="parts to leave out")] = None,
) -> Response:
    """Probe storage, queue and model server; 503 names the part that fails."""
    probes: Probes = request.app.state.probes()
    asked = await probes.ask([part for part in PARTS if part not in (exclude or [])])
    answers = {part: answer.said for part, answer in asked.items()}
    never = {"Cache-Control": "no-store"}
    failing = {part: answer for part, answer in answers.items() if answer != OK}
    if not failing:
        return JSONResponse({"status": "ready", "parts": answers}, headers=never)
    url, path = parts.settings.public_url, request.url.path
    detail = "; ".join(f"{part}: {answer}" for part, answer in failing.items())
    body = problems.body("not-ready", detail, public_url=url, instance=path) | {"parts": answers}
    return ProblemResponse(body, 503, headers=never | problems.headers_of("not-ready", 503))


@router.get(
    "/health",
    summary="How the service is: parts, and with a key versions, models and queues",
    response_model=Health,
    response_model_exclude_none=True,
    openapi_extra={"security": [{"bearer": []}, {}]},
)
async def how_it_is(request: Request, response: Response, parts: Parts) -> Health:
    """Answer 200 whatever the state, which `status` tells; /readyz is what a load balancer asks."""
    response.headers["Cache-Control"] = "no-store"
    probes: Probes = request.app.state.probes()
    if parts.settings.auth == "keys" and key_in(request.headers) is None:
        return await health(probes)
    doorkeeper: Doorkeeper = request.app.state.doorkeeper()
    (await doorkeeper.admit(request.scope)).check("read")
    return await health_in_full(probes, parts.settings)


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request, parts: Parts) -> Response:
    """Return the metrics in Prometheus' text format, to this machine or by their own key."""
    check_scraper(request.scope, parts.settings)
    counted: Metrics = request.app.state.metrics
    return Response(counted.text(parts.settings), media_type=CONTENT_TYPE_LATEST)
