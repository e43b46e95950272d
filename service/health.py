"""What the service tells of itself: versions, models, parts and queues."""

from __future__ import annotations

import platform
from typing import Any, Final, Literal

import anyio
from pydantic import Field

from jobs.errors import QueueUnavailable
from jobs.lengths import lengths
from jobs.metrics import software_version
from jobs.probes import OK, models_ready
from jobs.public.bodies import Body
from jobs.settings import Settings
from models.cards import cards
from service.probes import Probes

_LIBRARIES: Final = (
    "bentoml", "celery", "fastapi", "numpy", "obstore", "rasterio", "redis", "tritonclient", "uvicorn",
)  # fmt: skip


class PartHealth(Body):
    """A part the service needs: "ok" or why not, and how long its answer took."""

    said: str
    milliseconds: float | None = None


class ModelHealth(Body):
    """A model that can be asked for: the id and version of its card, its precision, and whether it is served now."""

    id: str
    version: str
    process: str
    precision: str
    ready: bool


class QueueHealth(Body):
    """How many pieces of work wait in a queue, and how many run."""

    waiting: int
    running: int


class Health(Body):
    """How the service is; who sends a key is told more than strangers are."""

    status: Literal["ok", "degraded"]
    parts: dict[str, PartHealth]
    version: str | None = None
    python: str | None = None
    libraries: dict[str, str] | None = None
    models: list[ModelHealth] | None = None
    queues: dict[str, QueueHealth] | None = Field(None, description="left out while the queue does not answer")


async def health(probes: Probes) -> Health:
    """Return what everybody may know: which parts answer."""
    answers = await probes.ask()
    status: Literal["ok", "degraded"] = "ok" if all(answer.said == OK for answer in answers.values()) else "degraded"
    return Health(status=status, parts={part: PartHealth(said=answer.said) for part, answer in answers.items()})


async def health_in_full(probes: Probes, settings: Settings) -> Health:
    """Return what callers may know as well: versions, latencies, models and queues."""
    answers, told = await probes.ask(), await health(probes)
    parts = {part: PartHealth(said=answer.said, milliseconds=answer.milliseconds) for part, answer in answers.items()}
    more: dict[str, Any] = {
        "parts": parts,
        "version": software_version(),
        "python": platform.python_version(),
        "libraries": {name: software_version(name) for name in _LIBRARIES},
        "models": await anyio.to_thread.run_sync(_models, settings),
        "queues": await anyio.to_thread.run_sync(_queues, settings),
    }
    return told.model_copy(update=more)


def _models(settings: Settings) -> list[ModelHealth]:
    ready = models_ready(settings) or {}
    return [
        ModelHealth(
            id=card.id, version=card.version, process=card.product, precision=card.serving.precision,
            ready=ready.get(card.serving.model, False),
        )
        for card in cards().values()
    ]  # fmt: skip


def _queues(settings: Settings) -> dict[str, QueueHealth] | None:
    try:
        found = lengths(settings)
    except QueueUnavailable:
        return None
    return {queue: QueueHealth(waiting=length.waiting, running=length.running) for queue, length in found.items()}
