"""How many jobs a tenant may have running and how much it may map in a month: reserved before a job is created.

Redis counts, so that two requests at once cannot both take the last place; what it counts can be rebuilt. The area's
truth is in storage: one empty object a job, whose name says the hectares, and which outlives the job.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from jobs.errors import AreaQuotaExceeded, TooManyJobs
from jobs.outage import TIMEOUT_SECONDS, Outage
from jobs.remembered import Remembered
from jobs.store import JobStore
from jobs.tenants import TenantStore

_HECTARES: Final = 100  # in a square kilometre
# A place whose job was not created by then was taken by a process that died.
_STILLBORN_SECONDS: Final = 120
_RETRY_SECONDS: Final = 5
_FULL_SECONDS: Final = 1.0
_TENANTS: Final = 10_000
_COUNTED_SECONDS: Final = 24 * 3600
_NO_PLACE: Final = 0
_UNCOUNTED: Final = -1
# 1: the job has a place; 0: there is none.
_ENTER: Final = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 1 end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])
return 1
"""
# -1: nothing has been counted; else the hectares there would be, counted unless they are over the limit.
_SPEND: Final = """
local used = redis.call('GET', KEYS[1])
if not used then return -1 end
local total = used + ARGV[1]
if total <= tonumber(ARGV[2]) then redis.call('INCRBY', KEYS[1], ARGV[1]) end
return total
"""
_REFUND: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECRBY', KEYS[1], ARGV[1]) end
"""


class Quotas:
    """Reserves places and areas for jobs. While Redis is away, places are not counted, and areas by listing storage."""

    def __init__(self, store: JobStore, tenants: TenantStore, url: str) -> None:
        self._store, self._storage, self._tenants = store, store.storage, tenants
        self._redis = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )  # fmt: skip
        self._enter, self._spend, self._refund = map(self._redis.register_script, (_ENTER, _SPEND, _REFUND))
        self._outage = Outage("running jobs are not counted, areas are read from storage")
        self._full: Remembered[str, int] = Remembered(seconds=_FULL_SECONDS, most=_TENANTS)

    @contextmanager
    def admitted(self, tenant: str, job: str, km2: float) -> Iterator[None]:
        """Hold a place and an area for a job while it is created; where that fails, both are given back.

        Raises TooManyJobs and AreaQuotaExceeded.
        """
        limits = self._tenants.limits(tenant)
        with self._place(tenant, job, limits.running_jobs), self._area(tenant, job, km2, limits.km2_per_month):
            yield

    def rejoin(self, tenant: str, job: str) -> None:
        """Count a job without an end that may have lost its place with Redis' memory, whatever the limit."""
        if self._tenants.limits(tenant).running_jobs:
            self._ask(self._redis.zadd, _running(tenant), {job: datetime.now(UTC).timestamp()}, nx=True)

    def running(self, tenant: str) -> int | None:
        """Return how many jobs of a tenant hold a place, after ended ones left; None where nobody counts."""
        counts = self._tenants.limits(tenant).running_jobs and self._leave(tenant)
        return self._ask(self._redis.zcard, _running(tenant)) if counts else None

    def km2(self, tenant: str) -> float:
        """Return the square kilometres of a tenant's jobs of this month."""
        counted = self._ask(self._redis.get, _spent(tenant))
        return int(self._listed(tenant) if counted is None else counted) / _HECTARES

    @contextmanager
    def _place(self, tenant: str, job: str, limit: int) -> Iterator[None]:
        if limit:
            self._take_place(tenant, job, limit)
        try:
            yield
        except BaseException:
            if limit:
                self._ask(self._redis.zrem, _running(tenant), job)
            raise

    def _take_place(self, tenant: str, job: str, limit: int) -> None:
        enter = (self._enter, [_running(tenant)], [job, limit])
        full = self._full.get(tenant) == limit
        if full or (self._ask(*enter) == _NO_PLACE and self._leave(tenant) and self._ask(*enter) == _NO_PLACE):
            if not full:  # else it would stay so for as long as somebody asks
                self._full.put(tenant, limit)
            msg = f"{limit} of your jobs have not ended, as many as there may be; wait for one, or dismiss one"
            raise TooManyJobs(msg, retry_after=_RETRY_SECONDS)

    def _leave(self, tenant: str) -> bool:
        """Take away the places of jobs that have ended or were never created; says whether Redis answered."""
        members = self._ask(self._redis.zrange, _running(tenant), 0, -1, withscores=True)
        moment = datetime.now(UTC).timestamp()
        gone = [job for job, since in members or () if self._is_over(job, moment - since)]
        if gone:
            self._ask(self._redis.zrem, _running(tenant), *gone)
        return members is not None

    def _is_over(self, job: str, seconds: float) -> bool:
        if self._storage.size(f"jobs/{job}/request.json") is None:
            return seconds > _STILLBORN_SECONDS
        return self._store.ended(job) is not None

    @contextmanager
    def _area(self, tenant: str, job: str, km2: float, limit: float) -> Iterator[None]:
        """Hold an area: in Redis first, so that a job is in no listing before it is counted."""
        hectares = math.ceil(km2 * _HECTARES)
        if not hectares:
            yield
            return
        if limit:
            self._take_area(tenant, hectares, math.floor(limit * _HECTARES))
        entry = f"{_usage(tenant)}/{job}_{hectares}"
        try:
            self._storage.create(entry, b"")
            yield
        except BaseException:
            self._ask(self._refund, [_spent(tenant)], [hectares])
            self._storage.delete([entry])
            raise

    def _take_area(self, tenant: str, hectares: int, limit: int) -> None:
        spend = (self._spend, [_spent(tenant)], [hectares, limit])
        total = self._ask(*spend)
        if total == _UNCOUNTED:
            self._ask(self._redis.set, _spent(tenant), self._listed(tenant), nx=True, ex=_COUNTED_SECONDS)
            total = self._ask(*spend)
        if total is None or total == _UNCOUNTED:
            total = self._listed(tenant) + hectares
        if total > limit:
            raise _exceeded(total - hectares, hectares, limit)

    def _listed(self, tenant: str) -> int:
        """Return the hectares of this month that storage tells."""
        return sum(int(key.rpartition("_")[2]) for key in self._storage.keys(_usage(tenant)))

    def _ask(self, command: Any, *args: Any, **told: Any) -> Any:
        """Return Redis' answer, or None while it is away; scripts take lists of keys and of arguments."""
        if self._outage.lasting:
            return None
        try:
            return command(*args, **told)
        except (RedisError, OSError) as error:
            self._outage.begin(error)
            return None


def _exceeded(used: int, asked: int, limit: int) -> AreaQuotaExceeded:
    this = datetime.now(UTC)
    turns = datetime(this.year + this.month // 12, this.month % 12 + 1, 1, tzinfo=UTC)
    msg = (
        f"this job maps {asked / _HECTARES:g} km2; {used / _HECTARES:g} of this month's {limit / _HECTARES:g} km2 "
        f"are used; the next month starts on {turns:%Y-%m-%d} at 00:00 UTC"
    )
    return AreaQuotaExceeded(msg, retry_after=math.ceil((turns - this).total_seconds()))


def _running(tenant: str) -> str:
    return f"cityzones:tenant:{tenant}:running"


def _spent(tenant: str) -> str:
    return f"cityzones:tenant:{tenant}:hectares:{datetime.now(UTC):%Y-%m}"


def _usage(tenant: str) -> str:
    return f"tenants/{tenant}/usage/{datetime.now(UTC):%Y-%m}"
