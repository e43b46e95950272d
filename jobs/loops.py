"""What belongs to one event loop: the tests and the command line have several, a server one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from jobs.outage import TIMEOUT_SECONDS

T = TypeVar("T")

_CONNECTIONS: Final = 16


class PerLoop(Generic[T]):
    """Makes one of a kind for every event loop, when it is first asked for there."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    def here(self) -> T:
        """Return the running loop's."""
        loop = asyncio.get_running_loop()
        found = self._made.get(loop)
        return self._made.setdefault(loop, self._make()) if found is None else found


class LoopRedis:
    """Hands out the running loop's client of one server; it waits half a second at most and tries nothing twice."""

    def __init__(self, url: str) -> None:
        self._clients: PerLoop[Any] = PerLoop(lambda: _client(url))

    def client(self) -> Any:
        """Return the client of the running loop."""
        return self._clients.here()

    def script(self, text: str) -> Any:
        """Return a Lua script, callable with `keys` and `args`, of the running loop's client."""
        return self.client().register_script(text)


def _client(url: str) -> Any:
    pool = BlockingConnectionPool.from_url(
        url, max_connections=_CONNECTIONS, timeout=TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0),
        socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, decode_responses=True,
    )  # fmt: skip
    return Redis.from_pool(pool)
