"""Requests a minute: the generic cell rate algorithm, in Redis for all processes, in this one while Redis is away.

https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm: one number says until when what was taken is paid back. A
burst of the whole limit is let through, after it one request each 1/limit of a minute.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Final

from redis.exceptions import RedisError

from jobs.loops import LoopRedis
from jobs.outage import Outage
from jobs.remembered import Remembered

WINDOW_SECONDS: Final = 60
_REMEMBERED: Final = 10_000
_SLACK: Final = 1e-6  # of a step, for what adding up fractions of a minute rounds off
# Takes as many of the requests wanted as there is room for. Returns how many, and the seconds until all that was taken
# is paid back; where there is room for none, the seconds to wait for the first.
_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local step = ARGV[2] / ARGV[1]
local owed = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') - now, 0)
local room = math.floor((ARGV[2] - owed) / step + 1e-6)
if room < 1 then return {0, string.format('%.6f', owed + step - ARGV[2])} end
local taken = math.min(room, ARGV[3])
owed = owed + taken * step
redis.call('SET', KEYS[1], string.format('%.6f', now + owed), 'PX', math.ceil(owed * 1000))
return {taken, string.format('%.6f', owed)}
"""
# A tenant in a hurry is lent requests in advance, a second's worth at most, to be asked about less often: each lease
# that is used up within a second doubles the next.
_LARGEST_LEASE: Final = 64
_HURRY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rate:
    """What became of one request under a limit: whether it may pass, how many more may at once, when all may again."""

    limit: int
    allowed: bool
    remaining: int
    reset: int
    retry_after: int

    @property
    def headers(self) -> dict[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers-10: policy and what is left of it."""
        return {
            "RateLimit-Policy": f'"default";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"default";r={self.remaining};t={self.reset}',
        }


class LocalRates:
    """Limits counted in this process alone; of more names than fit, those heard longest ago start anew."""

    def __init__(self) -> None:
        self._paid: Remembered[str, float] = Remembered(seconds=WINDOW_SECONDS, most=_REMEMBERED)

    def take(self, name: str, limit: int) -> Rate:
        """Count one request."""
        moment = time.monotonic()
        owed = self._owed(name, limit, moment)
        if owed >= 0:
            self._paid.put(name, moment + owed)
        return _rate(owed, limit)

    def spent(self, name: str, limit: int) -> Rate | None:
        """Return why the next request would have to wait, or None; counts nothing."""
        rate = _rate(self._owed(name, limit, time.monotonic()), limit)
        return None if rate.allowed else rate

    def _owed(self, name: str, limit: int, moment: float) -> float:
        step = WINDOW_SECONDS / limit
        owed = max((self._paid.get(name) or moment) - moment, 0.0) + step
        return owed if owed - WINDOW_SECONDS <= step * _SLACK else WINDOW_SECONDS - owed


@dataclass(slots=True)
class _Lease:
    """Requests a tenant may send without Redis being asked: how many are left, of how many, and since when."""

    left: int = 0
    size: int = 1
    owed: float = 0.0
    since: float = 0.0

    def spend(self, limit: int) -> Rate | None:
        """Count a request against what is lent; None where nothing is."""
        if not self.left:
            return None
        self.left -= 1
        rate = _rate(max(self.owed - (time.monotonic() - self.since), 0.0), limit)
        return replace(rate, remaining=min(rate.remaining + self.left, limit - 1))

    def next_size(self, limit: int) -> int:
        """Return how many requests to ask for, now that all are used up."""
        hurried = time.monotonic() - self.since < _HURRY_SECONDS
        most = max(1, min(_LARGEST_LEASE, limit // WINDOW_SECONDS))
        return min(self.size * 2, most) if hurried else 1


class RateLimits:
    """Limits counted in Redis, in one round trip or none; where Redis does not answer, in this process. Never fails."""

    def __init__(self, url: str) -> None:
        self._redis = LoopRedis(url)
        self._leases: Remembered[str, _Lease] = Remembered(seconds=WINDOW_SECONDS, most=_REMEMBERED)
        self._local = LocalRates()
        self._outage = Outage("each process counts requests by itself")

    async def take(self, tenant: str, limit: int) -> Rate:
        """Count one request of a tenant; `limit` is above 0."""
        lease = self._leases.get(tenant) or _Lease()
        rate = lease.spend(limit)
        if rate is None and not self._outage.lasting:
            try:
                return await self._lend(tenant, limit, lease.next_size(limit))
            except (RedisError, OSError) as error:
                self._outage.begin(error)
        return rate or self._local.take(tenant, limit)

    async def _lend(self, tenant: str, limit: int, wanted: int) -> Rate:
        """Ask Redis for a lease, of which this request takes the first."""
        told = await self._redis.script(_TAKE)(keys=[f"cityzones:rate:{tenant}"], args=[limit, WINDOW_SECONDS, wanted])
        taken, seconds = int(told[0]), float(told[1])
        if not taken:
            return _rate(-seconds, limit)
        lease = self._leases.put(tenant, _Lease(taken, wanted, seconds, time.monotonic()))
        return lease.spend(limit) or _rate(seconds, limit)


def _rate(owed: float, limit: int) -> Rate:
    """Read the script's answer: seconds owed after this request, or minus the seconds it has to wait."""
    if owed < 0:
        wait = max(math.ceil(-owed), 1)
        return Rate(limit, allowed=False, remaining=0, reset=wait, retry_after=wait)
    left = math.floor((WINDOW_SECONDS - owed) * limit / WINDOW_SECONDS + _SLACK)
    return Rate(limit, allowed=True, remaining=max(left, 0), reset=math.ceil(owed), retry_after=0)
