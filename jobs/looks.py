"""Looks at many hashes in Redis at once: what is asked for in one turn of the event loop goes in one message."""

from __future__ import annotations

import asyncio

from redis.exceptions import RedisError

from jobs.loops import LoopRedis, PerLoop

Fields = dict[str, str]
Pending = dict[str, asyncio.Future[Fields]]


class Looks:
    """Reads hashes for many at once. A message to Redis costs more than what it says."""

    def __init__(self, url: str) -> None:
        self._redis = LoopRedis(url)
        self._pending: PerLoop[Pending] = PerLoop(dict)
        self._running: set[asyncio.Task[None]] = set()

    async def at(self, key: str) -> Fields:
        """Return the fields of a hash, none where there is no such key; raises RedisError or OSError."""
        loop, pending = asyncio.get_running_loop(), self._pending.here()
        if not pending:
            loop.call_soon(self._send, loop)
        # One that asks may go away; what it waits for is another's too.
        return await asyncio.shield(pending.setdefault(key, loop.create_future()))

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        pending = self._pending.here()
        task = loop.create_task(self._fetch(dict(pending)))
        pending.clear()
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _fetch(self, pending: Pending) -> None:
        try:
            async with self._redis.client().pipeline(transaction=False) as pipe:
                for key in pending:
                    pipe.hgetall(key)
                found = await pipe.execute()
        except (RedisError, OSError) as error:
            for future in pending.values():
                future.set_exception(error)
            return
        for future, fields in zip(pending.values(), found, strict=True):
            future.set_result(fields)
