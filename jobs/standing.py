"""How a job stands, read on the event loop: what is asked most often takes no thread and waits for nothing in turn."""

from __future__ import annotations

import asyncio
from typing import Final

import anyio
from redis.exceptions import RedisError

from jobs.live import job_key, live_record
from jobs.looks import Looks
from jobs.outage import Outage
from jobs.record import CancelRecord, Ending, FailureRecord, JobRecord, LiveRecord, ResultRecord
from jobs.store import BLIND, JobStore, job_object, put_together

# Dismissal stands above both other ends.
_ENDS: Final[tuple[tuple[str, type[Ending]], ...]] = (
    ("cancelled.json", CancelRecord),
    ("result.json", ResultRecord),
    ("failure.json", FailureRecord),
)


class Standing:
    """Reads jobs as `JobStore.read` does, for one who cannot wait in a thread."""

    def __init__(self, store: JobStore, live_url: str) -> None:
        self._store = store
        self._looks = Looks(live_url)
        self._outage = Outage("the progress of jobs is not told")

    async def read(self, job: str) -> JobRecord:
        """Return a job as the interface shows it; raises UnknownJob and StorageUnavailable."""
        known = self._store.knows(job)
        head = self._store.head(job) if known else await anyio.to_thread.run_sync(self._store.head, job)
        if self._store.storage.folder:
            live, ending = await self._live(job), self._end_now(job)
        else:
            live, ending = await asyncio.gather(self._live(job), self._end(job))
        record = put_together(job, head, live, ending)
        if not head.subscribed:
            return record
        return await anyio.to_thread.run_sync(self._store.with_callbacks, record)

    def _end_now(self, job: str) -> Ending | None:
        """Look into a folder on the spot: a thread would take twenty times as long to say that nothing is there."""
        look = self._store.storage.get_now
        found = (_parsed(look(job_object(job, name)), kind) for name, kind in _ENDS)
        return next((end for end in found if end), None)

    async def _end(self, job: str) -> Ending | None:
        found = await asyncio.gather(*(self._object(job, *end) for end in _ENDS))
        return next((end for end in found if end), None)

    async def _object(self, job: str, name: str, kind: type[Ending]) -> Ending | None:
        return _parsed(await self._store.storage.get_async(job_object(job, name)), kind)

    async def _live(self, job: str) -> LiveRecord:
        if self._outage.lasting:
            return BLIND
        try:
            fields = await self._looks.at(job_key(job))
        except (RedisError, OSError) as error:
            self._outage.begin(error)
            return BLIND
        return live_record(fields) or LiveRecord()


def _parsed(data: bytes | None, kind: type[Ending]) -> Ending | None:
    return None if data is None else kind.model_validate_json(data)
