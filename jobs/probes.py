"""Asks the parts that service and workers need whether they answer, in seconds, not minutes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

import redis
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from jobs.lengths import client_of
from jobs.settings import Settings
from jobs.storage import Storage
from models.cards import cards
from models.errors import CityzonesError

log = logging.getLogger("cityzones.probes")

Part = Literal["storage", "queue", "inference"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
SECONDS: Final = 2.0
OK: Final = "ok"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a part said: "ok" or why not, and after how many milliseconds."""

    said: str
    milliseconds: float


def probe(part: Part, storage: Storage) -> Answer:
    """Ask one part; what goes wrong is told, never raised."""
    start = time.perf_counter()
    said = _PROBES[part](storage)
    return Answer(said, round((time.perf_counter() - start) * 1000, 1))


def _storage(storage: Storage) -> str:
    folder = storage.folder
    if folder is not None and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return "the folder is not there or may not be written"
    try:
        storage.size("probes/ready")
    except CityzonesError as error:
        return error.detail
    return OK


def _queue(storage: Storage) -> str:
    settings = storage.settings
    for name, url in (("broker", settings.broker_url), ("live state", settings.live_url)):
        try:
            with client_of(url) as client:
                client.ping()
        except redis.RedisError as error:
            log.warning("the %s does not answer: %s", name, error)
            return f"the {name} does not answer"
    return OK


def _inference(storage: Storage) -> str:
    ready = models_ready(storage.settings)
    if ready is None:
        return "the model server does not answer"
    return OK if any(ready.values()) else "the model server answers, but has loaded no model of the cards"


def models_ready(settings: Settings) -> dict[str, bool] | None:
    """Return of every card's model whether the model server says it is ready; None where it does not answer."""
    client = triton.InferenceServerClient(settings.triton_url)
    try:
        if not client.is_server_ready(client_timeout=SECONDS):
            return None
        return {
            card.serving.model: bool(client.is_model_ready(card.serving.model, client_timeout=SECONDS))
            for card in cards().values()
        }
    except InferenceServerException as error:
        log.warning("the model server does not answer: %s", error.message())
        return None
    finally:
        client.close()


_PROBES: Final[dict[Part, Callable[[Storage], str]]] = {
    "storage": _storage, "queue": _queue, "inference": _inference,
}  # fmt: skip
