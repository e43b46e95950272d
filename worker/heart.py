"""The heart of a worker: beats while its main loop turns, and knows whether the loop has a broker to listen to."""

from __future__ import annotations

import time
from typing import Any, ClassVar, Final

from celery import bootsteps

_BEAT_SECONDS: Final = 2.0


class Heart(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """A step of Celery's consumer: its timer runs in the main loop, so that a loop that hangs stops it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    beating: ClassVar[Heart | None] = None

    def __init__(self, consumer: Any, **told: Any) -> None:
        super().__init__(consumer, **told)
        self.consumer = consumer
        self._beat = time.monotonic()
        Heart.beating = self

    def start(self, consumer: Any) -> None:
        """Beat from now on; called for each connection to the broker, with whose end the timer goes."""
        self._note()
        consumer.timer.call_repeatedly(_BEAT_SECONDS, self._note)

    @property
    def connected(self) -> bool:
        """Whether the worker listens to a broker at the moment."""
        return self.consumer.connection is not None

    @property
    def silent_seconds(self) -> float:
        """How long ago the main loop turned, in seconds."""
        return time.monotonic() - self._beat

    @property
    def pool_processes(self) -> list[int]:
        """The ids of the processes that do the work; none for a pool without processes."""
        info = getattr(self.consumer.pool, "info", {})
        return list(info.get("processes", ()))

    def _note(self) -> None:
        self._beat = time.monotonic()
