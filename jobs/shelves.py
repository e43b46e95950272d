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

    A job lies on one shelf until it has ended, on another from then on, and on both in between. A reader therefore
    looks whether it is there; writing an entry twice is harmless.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def open(self, tenant: str, job: str) -> None:
        """List a new job among its tenant's without an end."""
        self._storage.create(_open(tenant, job), b"")

    def close(self, tenant: str, job: str) -> None:
        """Move a job that has ended from those without an end to the others."""
        self._storage.create(_own(tenant, job), b"")
        self._storage.delete([_open(tenant, job)])

    def opened(self) -> list[tuple[str, str]]:
        """Return tenant and id of the jobs that may have no end, a tenant's newest first."""
        named = (key.split("/")[1:] for key in self._storage.keys("open"))
        return [(tenant, mirrored(job)) for tenant, job in named]

    def newest(self, tenant: str, *, limit: int, before: str | None = None) -> list[str]:
        """Return at most `limit` jobs of a tenant, newest first, older than `before`."""
        found: set[str] = set()
        for shelf in (_open, _own):
            after = shelf(tenant, before) if before else None
            found.update(key.rpartition("/")[2] for key in self._storage.page(shelf(tenant), after=after, limit=limit))
        return [mirrored(job) for job in sorted(found)[:limit]]

    def forget(self, tenant: str, job: str) -> None:
        """Take a job from its tenant's."""
        self._storage.delete([_own(tenant, job), _open(tenant, job)])

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


def _open(tenant: str, job: str = "") -> str:
    return f"open/{tenant}" + (f"/{mirrored(job)}" if job else "")


def _due(due: DueJob) -> str:
    return f"due/{due.day.isoformat()}/{due.what}/{due.job}"
