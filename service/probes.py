"""Asks every part the service needs whether it answers, and remembers what it said for a second."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import anyio

from jobs.probes import PARTS, SECONDS, Answer, Part, probe
from service.state import State

_KEEP_SECONDS: Final = 1.0


@dataclass(slots=True)
class Probes:
    """Probes with answers kept for a second, so that a flood of questions does not become a flood of probes."""

    state: State
    _kept: dict[Part, tuple[float, Answer]] = field(default_factory=dict)
    _limiter: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(3 * len(PARTS)))

    async def ask(self, parts: Collection[Part] = PARTS) -> dict[Part, Answer]:
        """Return what every part asked about said; never takes longer than a few seconds."""
        answers: dict[Part, Answer] = {}

        async def one(part: Part) -> None:
            answers[part] = await self._ask(part)

        async with anyio.create_task_group() as group:
            for part in parts:
                group.start_soon(one, part)
        return {part: answers[part] for part in parts}

    async def _ask(self, part: Part) -> Answer:
        moment, answer = self._kept.get(part, (0.0, None))
        if answer is None or time.monotonic() - moment >= _KEEP_SECONDS:
            answer = await self._probe(part)
            self._kept[part] = (time.monotonic(), answer)
        return answer

    async def _probe(self, part: Part) -> Answer:
        try:
            with anyio.fail_after(SECONDS + 0.5):
                return await anyio.to_thread.run_sync(
                    probe, part, self.state.storage, abandon_on_cancel=True, limiter=self._limiter
                )
        except TimeoutError:
            return Answer(f"no answer within {SECONDS:g} s", SECONDS * 1000)
