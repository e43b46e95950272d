"""Requests a minute: the generic cell rate algorithm, in Redis for all processes, in this one while Redis is away.

https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm: one number says until when what was taken is paid back. A
burst of the whole limit is let through, after it one request each 1/limit of a minute.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from jobs.outage import TIMEOUT_SECONDS, Outage
from jobs.remembered import Remembered

WINDOW_SECONDS: Final = 60
_CONNECTIONS: Final = 32
_REMEMBERED: Final = 10_000
_SLACK: Final = 1e-6  # of a step, for what adding up fractions of a minute rounds off
# Returns the seconds until what was taken is paid back, after this request; negative where it must wait instead.
_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local step = ARGV[2] / ARGV[1]
local paid = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local after = paid + step
local wait = after - now - ARGV[2]
if wait > step * 1e-6 then return string.format('%.6f', -wait) end
redis.call('SET', KEYS[1], string.format('%.6f', after), 'PX', math.ceil((after - now) * 1000))
return string.format('%.6f', after - now)
"""


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


class RateLimits:
    """Limits counted in Redis, in one round trip; where Redis does not answer, in this process. Never fails."""

    def __init__(self, url: str) -> None:
        self._url = url
        # A connection belongs to the event loop it was opened in.
        self._scripts: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()
        self._local = LocalRates()
        self._outage = Outage("each process counts requests by itself")

    async def take(self, tenant: str, limit: int) -> Rate:
        """Count one request of a tenant; `limit` is above 0."""
        if not self._outage.lasting:
            try:
                told = await self._script()(keys=[f"cityzones:rate:{tenant}"], args=[limit, WINDOW_SECONDS])
                return _rate(float(told), limit)
            except (RedisError, OSError) as error:
                self._outage.begin(error)
        return self._local.take(tenant, limit)

    def _script(self) -> Any:
        loop = asyncio.get_running_loop()
        found = self._scripts.get(loop)
        if found is None:
            pool = BlockingConnectionPool.from_url(
                self._url, max_connections=_CONNECTIONS, timeout=TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0),
                socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS,
            )  # fmt: skip
            found = self._scripts.setdefault(loop, Redis.from_pool(pool).register_script(_TAKE))
        return found


def _rate(owed: float, limit: int) -> Rate:
    """Read the script's answer: seconds owed after this request, or minus the seconds it has to wait."""
    if owed < 0:
        wait = max(math.ceil(-owed), 1)
        return Rate(limit, allowed=False, remaining=0, reset=wait, retry_after=wait)
    left = math.floor((WINDOW_SECONDS - owed) * limit / WINDOW_SECONDS + _SLACK)
    return Rate(limit, allowed=True, remaining=max(left, 0), reset=math.ceil(owed), retry_after=0)
