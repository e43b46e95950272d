"""What is to be told of jobs and what became of it: attempts in object storage, each under a key of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from jobs.record import CallbackState, RequestRecord, State
from jobs.storage import Storage

Event = Literal["successful", "failed"]
_URIS: Final[dict[State, tuple[Event, str]]] = {
    "successful": ("successful", "successUri"),
    "failed": ("failed", "failedUri"),
}


class Attempt(BaseModel):
    """jobs/<job>/callbacks/<event>-<number>.json: one try to tell how a job ended.

    `status` is the receiver's, where it answered; `next` when to try again, None where nothing is left to do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    time: datetime
    delivered: bool
    detail: str
    status: int | None = None
    next: datetime | None = None


class Outbox:
    """Keeps, below callbacks/, the jobs whose end is still to be told, and the attempts beside each job.

    Both are truth: neither a restart nor a flushed queue forgets a callback or starts its schedule anew.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def open(self, job: str) -> None:
        """Note that the end of a job will have to be told; before the job exists, so that none is missed."""
        self._storage.create(_pending(job), b"")

    def close(self, job: str) -> None:
        """Note that nothing more is to be told."""
        self._storage.delete([_pending(job)])

    def is_open(self, job: str) -> bool:
        """Say whether a job's end is still to be told."""
        return self._storage.size(_pending(job)) is not None

    def opened(self) -> list[str]:
        """Return the jobs whose end is still to be told, also those that have not ended yet; oldest first."""
        return [key.rpartition("/")[2] for key in self._storage.keys("callbacks")]

    def last(self, job: str, event: Event) -> Attempt | None:
        """Return the latest attempt, None before the first."""
        keys = self._storage.keys(f"jobs/{job}/callbacks")
        mine = [key for key in keys if key.rpartition("/")[2].startswith(f"{event}-")]
        data = self._storage.get(mine[-1]) if mine else None
        return None if data is None else Attempt.model_validate_json(data)

    def note(self, job: str, event: Event, attempt: Attempt) -> None:
        """Keep an attempt; of two that were made at once the first stands."""
        key = f"jobs/{job}/callbacks/{event}-{attempt.number:02}.json"
        self._storage.create(key, attempt.model_dump_json(indent=1).encode())

    def state(self, job: str, event: Event) -> CallbackState | None:
        """Return how a callback stands, None where its records are gone."""
        attempt = self.last(job, event)
        if attempt is None:
            return CallbackState(state="pending", attempts=0) if self.is_open(job) else None
        settled = "delivered" if attempt.delivered else "given-up"
        return CallbackState(
            state="pending" if attempt.next else settled,
            attempts=attempt.number,
            updated=attempt.time,
            status=attempt.status,
            detail=attempt.detail,
            next=attempt.next,
        )


def ending_event(request: RequestRecord, state: State) -> Event | None:
    """Return what a job's subscriber wants to be told of this end; None where nothing, or where it is no such end."""
    event, uri = _URIS.get(state, (None, ""))
    return event if (request.execute.get("subscriber") or {}).get(uri) else None


def moment() -> datetime:
    """Return the present in UTC, to the millisecond and better: retries may be seconds apart."""
    return datetime.now(UTC)


def is_due(last: Attempt | None) -> bool:
    """Say whether it is time for an attempt after the last one."""
    return last is None or (last.next is not None and last.next <= moment())


def _pending(job: str) -> str:
    return f"callbacks/{job}"
