"""Server-Sent Events: follows a job's status by looking, so that it works whatever writes it and survives Redis."""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

import anyio
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from jobs.errors import TooManyStreams
from jobs.public.status import status_info
from jobs.record import FINAL_STATES
from models.errors import CityzonesError
from service.state import State

MEDIA_TYPE: Final = "text/event-stream"
MOST_STREAMS: Final = 200
_LOOK_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 15.0
# A stream ends then and the client comes again with the id it has seen: no connection is for ever.
_LONGEST_SECONDS: Final = 900.0
_RETRY_MILLISECONDS: Final = 2000


class Streams:
    """The streams of one process: a bounded number, which all end when the process is told to.

    A tenant may have as many as are free (the dynamic thresholds of Choudhury and Hahne 1998): alone half of all, and
    however many others take, a tenant that comes anew still gets one.

    A server waits for open answers before it ends, and a stream would keep it waiting: so the first stream wraps the
    server's own signal handlers.
    """

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self.most = most
        self.open: Counter[str] = Counter()
        self.ending = False
        self._wrapped = False

    def check(self, tenant: str) -> None:
        """Raise TooManyStreams where a tenant can have no more."""
        own = self.open[tenant]
        if own >= self.most - self.open.total() or self.ending:
            msg = f"{own} streams of events of yours are open here; ask for the job's status instead, or come again"
            raise TooManyStreams(msg)

    @contextmanager
    def one(self, tenant: str) -> Iterator[None]:
        """Count a stream of a tenant's while it lasts."""
        if not self._wrapped and threading.current_thread() is threading.main_thread():
            self._wrapped = True
            for number in (signal.SIGINT, signal.SIGTERM):
                self._wrap(number)
        self.open[tenant] += 1
        try:
            yield
        finally:
            self.open[tenant] -= 1
            self.open += Counter()  # drops those who have none

    def _wrap(self, number: signal.Signals) -> None:
        before = signal.getsignal(number)

        def end(got: int, frame: FrameType | None) -> None:
            self.ending = True
            if callable(before):
                before(got, frame)

        if callable(before):
            signal.signal(number, end)


@dataclass(frozen=True, slots=True)
class Look:
    """A status as an event: its JSON, an id that changes with it, and whether the job has ended."""

    data: str
    id: str
    last: bool


@dataclass(slots=True)
class Follower:
    """One client's view of a job. `seen` is the id of the last event it has."""

    job: str
    tenant: str
    state: State
    streams: Streams
    seen: str | None
    _sent: float = field(default_factory=time.monotonic)

    async def has_it_all(self) -> bool:
        """Say whether the client has seen the event that ended the job."""
        if self.seen is None:
            return False
        found = await self._look()
        return found.last and found.id == self.seen

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield events until the job has ended, comments while nothing changes.

        What goes wrong on the way ends the stream: the client comes again and is answered with the problem.
        """
        end = time.monotonic() + _LONGEST_SECONDS
        with self.streams.one(self.tenant):
            yield format_sse_event(retry=_RETRY_MILLISECONDS)
            while time.monotonic() < end and not self.streams.ending:
                try:
                    found = await self._look()
                except CityzonesError:
                    return
                if event := self._told(found):
                    yield event
                if found.last:
                    return
                await anyio.sleep(_LOOK_SECONDS)

    def _told(self, found: Look) -> bytes | None:
        """Return the event for a status the client has not seen, a comment if it has been quiet for long."""
        if found.id == self.seen and time.monotonic() - self._sent < _QUIET_SECONDS:
            return None
        self._sent = time.monotonic()
        if found.id == self.seen:
            return KEEPALIVE_COMMENT
        self.seen = found.id
        return format_sse_event(event="status", id=found.id, data_str=found.data)

    async def _look(self) -> Look:
        record = await self.state.standing.read(self.job)
        data = status_info(record, self.state.settings.public_url).model_dump_json(exclude_none=True)
        return Look(data, hashlib.sha256(data.encode()).hexdigest()[:16], record.state in FINAL_STATES)
