"""Makes a request that is sent twice create one job: what was asked under a key, and the job that came of it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from jobs.errors import IdempotencyKeyReused, InvalidIdempotencyKey, RequestInFlight
from jobs.ids import new_id
from jobs.record import now
from jobs.storage import Storage

KEPT_HOURS: Final = 24
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
# A request that has not created its job by then died on the way; whoever sends it again goes on.
_IN_FLIGHT: Final = timedelta(seconds=60)


class _Kept(BaseModel):
    """idempotency/<tenant>/<hash of the key>.json: what was asked under the key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: str
    fingerprint: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Reservation:
    """The id a request's job gets; `replayed` where an earlier request with the key has created it."""

    key: str
    job: str
    replayed: bool


class IdempotencyKeys:
    """Keeps the keys of a day. The first of equal requests wins; truth is the job itself."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def reserve(self, tenant: str, key: str, fingerprint: str) -> Reservation:
        """Return the job id of a request, the same for every request with this key.

        Raises InvalidIdempotencyKey, IdempotencyKeyReused where the key came with another request, and
        RequestInFlight where the first one is not answered yet.
        """
        place = _place(tenant, key)
        mine = _Kept(job=new_id("job"), fingerprint=fingerprint, created=now())
        if self._storage.create(place, mine.model_dump_json().encode()):
            return Reservation(place, mine.job, replayed=False)
        kept = self._kept(place) or mine
        if now() - kept.created > timedelta(hours=KEPT_HOURS):
            self._storage.put(place, mine.model_dump_json().encode())
            return Reservation(place, mine.job, replayed=False)
        return self._again(place, kept, fingerprint)

    def release(self, reservation: Reservation) -> None:
        """Forget a key whose request was refused after all."""
        self._storage.delete([reservation.key])

    def forget_old(self) -> int:
        """Delete keys older than a day and return how many."""
        limit = now() - timedelta(hours=KEPT_HOURS)
        old = self._storage.older("idempotency", limit)
        self._storage.delete(old)
        return len(old)

    def _again(self, place: str, kept: _Kept, fingerprint: str) -> Reservation:
        if kept.fingerprint != fingerprint:
            msg = "this Idempotency-Key was sent with another request; a new request needs a new key"
            raise IdempotencyKeyReused(msg)
        if self._storage.size(f"jobs/{kept.job}/request.json") is not None:
            return Reservation(place, kept.job, replayed=True)
        if now() - kept.created < _IN_FLIGHT:
            msg = "the first request with this Idempotency-Key is still being answered; send it again in a moment"
            raise RequestInFlight(msg)
        return Reservation(place, kept.job, replayed=False)

    def _kept(self, place: str) -> _Kept | None:
        data = self._storage.get(place)
        return None if data is None else _Kept.model_validate_json(data)


def fingerprint_of(process: str, body: Any) -> str:
    """Return what two requests have in common that ask the same: member order and white space do not count."""
    told = json.dumps([process, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()


def _place(tenant: str, key: str) -> str:
    if not _KEY.fullmatch(key):
        msg = "an Idempotency-Key has 1 to 255 visible ASCII characters, for example a UUID"
        raise InvalidIdempotencyKey(msg)
    return f"idempotency/{tenant}/{hashlib.sha256(key.encode()).hexdigest()}.json"
