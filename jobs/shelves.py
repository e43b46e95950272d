"""Lists of jobs in object storage, as empty objects whose keys sort: of a tenant, without an end, due on a day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Final, Literal, NamedTuple, get_args

from jobs.ids import first_id, mirrored
from jobs.storage import Storage

Due = Literal["data", "record"]
_DUES: Final[tuple[Due, ...]] = get_args(Due)


class DueJob(NamedTuple):
    """What of a job goes on a day: its data, or all that is left of it."""

    day: date
    what: Due
    job: str


class Shelves:
    """Keeps the lists. Every entry is written before what it lists and removed after it, so none is ever missing.

    A reader therefore looks whether the job is there; writing an entry twice is harmless.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def open(self, tenant: str, job: str) -> None:
        """List a new job among its tenant's and among those without an end."""
        self._storage.create(_own(tenant, job), b"")
        self._storage.create(f"open/{job}", b"")

    def close(self, job: str) -> None:
        """Take a job from those without an end."""
        self._storage.delete([f"open/{job}"])

    def opened(self) -> list[str]:
        """Return the jobs that may have no end, oldest first."""
        return [key.rpartition("/")[2] for key in self._storage.keys("open")]

    def newest(self, tenant: str, *, limit: int, before: str | None = None) -> list[str]:
        """Return at most `limit` jobs of a tenant, newest first, older than `before`."""
        after = _own(tenant, before) if before else None
        return [mirrored(key.rpartition("/")[2]) for key in self._storage.page(_own(tenant), after=after, limit=limit)]

    def forget(self, tenant: str, job: str) -> None:
        """Take a job from its tenant's."""
        self._storage.delete([_own(tenant, job)])

    def schedule(self, due: DueJob) -> None:
        """Note what of a job goes on which day."""
        self._storage.create(_due(due), b"")

    def settle(self, due: DueJob) -> None:
        """Take a note away, once what it says is done."""
        self._storage.delete([_due(due)])

    def due(self, today: date) -> Iterator[DueJob]:
        """Yield what should be gone by now, the oldest day first."""
        for day in self._storage.folders("due"):
            if date.fromisoformat(day) > today:
                return
            for key in self._storage.keys(f"due/{day}"):
                _, _, what, job = key.split("/")
                if what in _DUES:
                    yield DueJob(date.fromisoformat(day), what, job)


def made_until(moment: datetime) -> str:
    """Return an id that sorts after every job made until then, to list from."""
    return first_id("job", int(moment.timestamp() * 1000) + 1)


def _own(tenant: str, job: str = "") -> str:
    return f"tenants/{tenant}/jobs" + (f"/{mirrored(job)}" if job else "")


def _due(due: DueJob) -> str:
    return f"due/{due.day.isoformat()}/{due.what}/{due.job}"
