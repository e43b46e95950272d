"""Asks every part the service needs whether it answers, in seconds, not minutes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import anyio
import redis
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from jobs.settings import Settings
from models.cards import cards
from models.errors import CityzonesError
from service.state import State

log = logging.getLogger("cityzones.service")

Part = Literal["storage", "queue", "inference"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
_SECONDS: Final = 2.0
_KEEP_SECONDS: Final = 1.0


@dataclass(slots=True)
class Probes:
    """Probes with answers kept for a second, so that a flood of questions does not become a flood of probes."""

    state: State
    _kept: dict[str, tuple[float, str]] = field(default_factory=dict)
    _limiter: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(3 * len(PARTS)))

    async def ask(self, parts: Collection[str] = PARTS) -> dict[str, str]:
        """Return "ok" or why not, for every part asked about; never takes longer than a few seconds."""
        answers: dict[str, str] = {}

        async def one(part: str) -> None:
            answers[part] = await self._ask(part)

        async with anyio.create_task_group() as group:
            for part in parts:
                group.start_soon(one, part)
        return {part: answers[part] for part in parts}

    async def _ask(self, part: str) -> str:
        moment, answer = self._kept.get(part, (0.0, ""))
        if time.monotonic() - moment < _KEEP_SECONDS:
            return answer
        answer = await self._probe(part)
        self._kept[part] = (time.monotonic(), answer)
        return answer

    async def _probe(self, part: str) -> str:
        try:
            with anyio.fail_after(_SECONDS + 0.5):
                return await anyio.to_thread.run_sync(
                    _PROBES[part], self.state, abandon_on_cancel=True, limiter=self._limiter
                )
        except TimeoutError:
            return f"no answer within {_SECONDS:g} s"


def _storage(state: State) -> str:
    folder = state.storage.folder
    if folder is not None and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return "the folder is not there or may not be written"
    try:
        state.storage.size("probes/ready")
    except CityzonesError as error:
        return error.detail
    return "ok"


def _queue(state: State) -> str:
    settings: Settings = state.settings
    for name, url in (("broker", settings.broker_url), ("live state", settings.live_url)):
        try:
            with redis.Redis.from_url(_plain(url), socket_timeout=1, socket_connect_timeout=1) as client:
                client.ping()
        except redis.RedisError as error:
            log.warning("the %s does not answer: %s", name, error)
            return f"the {name} does not answer"
    return "ok"


def _inference(state: State) -> str:
    client = triton.InferenceServerClient(state.settings.triton_url)
    try:
        if not client.is_server_ready(client_timeout=_SECONDS):
            return "the model server is not ready"
        served = [card.serving.model for card in cards().values()]
        ready = any(client.is_model_ready(model, client_timeout=_SECONDS) for model in served)
    except InferenceServerException as error:
        log.warning("the model server does not answer: %s", error.message())
        return "the model server does not answer"
    finally:
        client.close()
    return "ok" if ready else "the model server answers, but has loaded no model of the cards"


def _plain(url: str) -> str:
    """Return a broker URL as the Redis client names it: kombu says redis+socket:// where it says unix://."""
    return url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=")


_PROBES: Final[dict[str, Callable[[State], str]]] = {"storage": _storage, "queue": _queue, "inference": _inference}
