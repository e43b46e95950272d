"""What a job tells its owner: one line a step, kept in Redis while it runs and in object storage once it has ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from jobs.errors import QueueUnavailable
from jobs.live import LiveJobs
from jobs.storage import Storage

log = logging.getLogger(__name__)

MOST_LINES: Final = 10_000

Level = Literal["info", "warning", "error"]


class LogLine(BaseModel):
    """A moment, the step it belongs to ("plan", a block's name, "assemble", "service"), and a sentence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: datetime
    level: Level
    step: str
    message: str


class JobLogs:
    """Writes and reads the lines of jobs. Only sentences meant for the owner come here, never a library's own words.

    A line that Redis cannot take is lost: the map is worth more than its log.
    """

    def __init__(self, storage: Storage, live: LiveJobs) -> None:
        self._storage = storage
        self._live = live

    def write(self, job: str, step: str, message: str, *, level: Level = "info") -> None:
        """Add a line; the oldest go beyond ten thousand."""
        line = LogLine(time=datetime.now(UTC), level=level, step=step, message=message)
        try:
            self._live.remember(f"{job}:log", line.model_dump_json(), most=MOST_LINES)
        except QueueUnavailable:
            log.debug("a line of %s is lost: %s", job, message)

    def keep(self, job: str) -> None:
        """Copy the lines of a job that has ended to object storage; what is there already stays."""
        lines = self._running(job)
        if lines:
            self._storage.create(_key(job), "\n".join(lines).encode())

    def read(self, job: str, *, after: int, limit: int) -> Sequence[LogLine]:
        """Return at most `limit` lines after the first `after`, oldest first."""
        data = self._storage.get(_key(job))
        lines = data.decode().splitlines() if data else self._running(job)
        return [LogLine.model_validate_json(line) for line in lines[after : after + limit]]

    def _running(self, job: str) -> list[str]:
        try:
            return self._live.remembered(f"{job}:log")
        except QueueUnavailable:
            return []


def _key(job: str) -> str:
    return f"jobs/{job}/log.jsonl"
