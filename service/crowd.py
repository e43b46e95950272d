"""Back-pressure: while too many jobs wait to begin, no further ones are taken."""

from __future__ import annotations

import logging
from typing import Final

from jobs.errors import QueueFull, QueueUnavailable
from jobs.pool import Pool
from jobs.queue import INTERACTIVE, JOBS
from jobs.remembered import Remembered

log = logging.getLogger("cityzones.service")

_KEEP_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 30


class Crowd:
    """Counts the jobs that wait to begin, at most once a second."""

    def __init__(self, pool: Pool, most: int) -> None:
        """`most` jobs may wait; 0 is any number."""
        self._pool, self._most = pool, most
        self._counted: Remembered[str, int] = Remembered(seconds=_KEEP_SECONDS, most=1)

    def check(self) -> None:
        """Raise QueueFull while too many wait; a queue that is away refuses nobody, as jobs are kept without it."""
        if not self._most or (waiting := self._waiting()) < self._most:
            return
        msg = f"{waiting} jobs wait to begin, as many as there may be; send this one again in a while"
        raise QueueFull(msg, retry_after=_RETRY_SECONDS)

    def _waiting(self) -> int:
        known = self._counted.get("waiting")
        if known is not None:
            return known
        try:
            waiting = sum(self._pool.load(queue).waiting for queue in (JOBS, INTERACTIVE))
        except QueueUnavailable as error:
            log.warning("waiting jobs are not counted: %s", error.detail)
            waiting = 0
        return self._counted.put("waiting", waiting)
