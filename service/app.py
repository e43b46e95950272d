"""Builds the FastAPI application: routes, middlewares, problems, and the published contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

from anyio import CapacityLimiter
from fastapi import FastAPI
from starlette.middleware import Middleware

from jobs.loops import PerLoop
from jobs.settings import Settings
from service import handlers
from service.annotation.room import ProjectRoom
from service.around import around
from service.contract.document import complete, operation_id
from service.doorkeeper import Doorkeeper
from service.events import Streams
from service.heads import Heads
from service.probes import Probes
from service.processes import software_version
from service.queries import Contract
from service.routes import (
    annotate,
    annotation,
    blocks,
    callbacks,
    docs,
    execution,
    files,
    health,
    jobs,
    keys,
    landing,
    logs,
    point,
    processes,
    results,
    resumable,
    tiles,
    uploads,
    web,
)
from service.state import State, opener
from service.telemetry import Metrics
from service.tiles.room import MapRoom
from service.tus import Tus

# Threads that check and store jobs. A folder answers at once: more of them would only wait for each other.
_SUBMITTING: Final = 40
_SUBMITTING_LOCALLY: Final = 6
# Uploads that a process makes areas of at the same time: each may take some seconds of a core.
_OUTLINING: Final = 2


_RESOURCES: Final = (
    landing, docs, processes, execution, jobs, logs, results, blocks, tiles, point, annotation, annotate, resumable,
    uploads, files, keys, callbacks, health, web,
)  # fmt: skip


def create_app(settings: Settings) -> FastAPI:
    """Return the application for these settings; nothing is opened before it starts or is first asked."""
    open_once = opener(settings)
    metrics = Metrics()
    known = Contract(lambda: app.openapi())  # noqa: PLW0108 - the application is made below

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        open_once()
        yield

    app = FastAPI(
        title="Cityzones",
        version=software_version(),
        summary="Maps of cities as a service: Local Climate Zones and land cover",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        middleware=[
            *around(settings, metrics, known),
            Middleware(Tus, public_url=settings.public_url),
            Middleware(Heads),
        ],
        generate_unique_id_function=operation_id,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # BentoML traces; metrics are our own
    )
    _hold(app, settings, open_once, metrics, known)
    handlers.install(app, settings.public_url)
    for module in _RESOURCES:
        app.include_router(module.router)
    app.router.routes.insert(0, jobs.StatusRoute())
    build = app.openapi

    @cache
    def published() -> dict[str, Any]:
        return complete(build(), settings)

    app.openapi = published  # type: ignore[method-assign]  # FastAPI's documented way to extend its contract
    return app


def _hold(
    app: FastAPI, settings: Settings, open_once: Callable[[], State], metrics: Metrics, contract: Contract
) -> None:
    """Give an application what its routes ask it for; what needs the state is made when it is first asked for."""
    app.state.open = open_once
    app.state.metrics = metrics
    app.state.contract = contract
    app.state.streams = Streams()
    threads = _SUBMITTING_LOCALLY if settings.stores_locally else _SUBMITTING
    app.state.submitting = PerLoop(lambda: CapacityLimiter(threads))
    app.state.outlining = PerLoop(lambda: CapacityLimiter(_OUTLINING))
    app.state.doorkeeper = cache(lambda: Doorkeeper(open_once()))
    app.state.maps = cache(lambda: MapRoom(open_once()))
    app.state.projects = cache(lambda: ProjectRoom(open_once().storage))
    app.state.probes = cache(lambda: Probes(open_once()))
