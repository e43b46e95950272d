"""Operations: whether the service lives, whether its parts answer, and what it has counted."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from service.probes import PARTS, Probes
from service.telemetry import Metrics

router = APIRouter(tags=["Operations"])


@router.get("/livez", summary="Whether the process answers")
async def livez() -> dict[str, str]:
    """Answer; no other part is asked, so that an outage elsewhere restarts nothing here."""
    return {"status": "ok"}


@router.get("/readyz", summary="Whether every part answers", responses={503: {"description": "which part does not"}})
async def readyz(
    request: Request,
    exclude: Annotated[list[str] | None, Query(description="parts to leave out: storage, queue, inference")] = None,
) -> Response:
    """Probe storage, queue and model server; 503 names the part that fails."""
    probes: Probes = request.app.state.probes()
    answers = await probes.ask([part for part in PARTS if part not in (exclude or [])])
    ready = all(answer == "ok" for answer in answers.values())
    body: dict[str, Any] = {"status": "ready" if ready else "not ready", "parts": answers}
    return JSONResponse(body, 200 if ready else 503, headers={"Cache-Control": "no-store"})


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """Return the metrics in Prometheus' text format."""
    counted: Metrics = request.app.state.metrics
    return Response(counted.text(), media_type=CONTENT_TYPE_LATEST)
