"""Redis on an event loop: one client a loop, as a connection belongs to the loop it was opened in."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from weakref import WeakKeyDictionary

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from jobs.outage import TIMEOUT_SECONDS

_CONNECTIONS: Final = 16


class LoopRedis:
    """Hands out the running loop's client of one server; it waits half a second at most and tries nothing twice."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    def client(self) -> Any:
        """Return the client of the running loop."""
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is None:
            pool = BlockingConnectionPool.from_url(
                self._url, max_connections=_CONNECTIONS, timeout=TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0),
                socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, decode_responses=True,
            )  # fmt: skip
            found = self._clients.setdefault(loop, Redis.from_pool(pool))
        return found

    def script(self, text: str) -> Any:
        """Return a Lua script, callable with `keys` and `args`, of the running loop's client."""
        client = self.client()
        return client.register_script(text)
