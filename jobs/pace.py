"""How fast jobs of a model have been here lately, so that the next one's time can be told before it starts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Final

from jobs.errors import QueueUnavailable
from jobs.live import LiveJobs
from jobs.plan import Plan
from jobs.record import JobRecord

# Of a city on two cores (docs/scale.md): 10, 20 and 40 km a side, 9, 25 and 81 blocks, took 12.2, 35.3 and 128.2 s.
START_SECONDS: Final = 3.0
BLOCK_SECONDS: Final = 1.5
_KEPT: Final = 50
_ENOUGH: Final = 3


@dataclass(frozen=True, slots=True)
class Expected:
    """Seconds a job should take, and how many jobs that is drawn from; 0 where it is a rule of thumb."""

    seconds: float
    drawn_from: int


class Pace:
    """Remembers, for the last fifty jobs of a kind, how much longer than the rule of thumb they took."""

    def __init__(self, live: LiveJobs) -> None:
        self._live = live

    def note(self, plan: Plan, record: JobRecord) -> None:
        """Remember a job that has just finished, unless it asked the network nothing; without Redis, forget it."""
        if record.started is None or record.finished is None or plan.source is not None:
            return
        took = max((record.finished - record.started).total_seconds(), 1.0)
        factor = took / _rule(len(plan.blocks))
        with suppress(QueueUnavailable):
            self._live.remember(_list(plan.model, coarse=plan.scene_graph), f"{factor:.4f}", most=_KEPT)

    def expected(self, model: str, blocks: int, *, coarse: bool) -> Expected:
        """Return how long a job of so many blocks should take from its start, as the last of its kind did.

        `coarse` jobs are mapped by the graph for scene cells.
        """
        try:
            factors = [float(text) for text in self._live.remembered(_list(model, coarse=coarse))]
        except QueueUnavailable:
            factors = []
        if len(factors) < _ENOUGH:
            return Expected(_rule(blocks), 0)
        return Expected(_rule(blocks) * median(factors), len(factors))


def _list(model: str, *, coarse: bool) -> str:
    return f"pace:{model}:coarse" if coarse else f"pace:{model}"


def _rule(blocks: int) -> float:
    return START_SECONDS + BLOCK_SECONDS * blocks
