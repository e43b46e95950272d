"""The pool of work: pieces wait here for a worker, and every tenant gets its share of the workers' time.

The queue carries tickets, one a piece. Whose piece a ticket is for is settled when a worker takes it: the next piece
of the tenant that has had the fewest seconds of workers so far (start-time fair queueing, Goyal, Vin and Cheng 1996,
with the usual seconds of a piece charged in advance and corrected by those it took). So a tenant with one job does not
wait behind a thousand of another's, and one that is alone has all workers.

What a worker holds is leased: its main process renews the lease, and what is held by one that has died is given back
after `LEASE_SECONDS`. All times are the Redis server's, so workers' clocks need not agree. Nothing here is truth: a
pool that has lost everything is filled again by the recovery, and a piece that is done twice is done once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.exceptions import RedisError

from jobs import pool_scripts as scripts
from jobs.errors import QueueUnavailable
from jobs.work import Work

# A worker that has not renewed for so long is taken for dead; it renews every RENEW_SECONDS.
LEASE_SECONDS: Final = 20.0
RENEW_SECONDS: Final = 4.0
_LATEST_WEIGHT: Final = 0.2
_AWAY: Final = "the queue does not answer; the job is kept and goes on once it does"
_LEASES: Final = "cityzones:leases"


@dataclass(frozen=True, slots=True)
class Load:
    """How many pieces of a queue wait, and how many are being done."""

    waiting: int
    running: int


class Pool:
    """The pieces of work of every queue, in Redis. Every method may raise QueueUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        """`client` decodes its answers, as `jobs.live.connect` makes it."""
        self._client = client
        names = ("PUT", "TAKE", "DONE", "DEFER", "RENEW", "RECLAIM", "RELEASE", "ORPHANS")
        self._scripts = {name: client.register_script(getattr(scripts, name)) for name in names}

    def put(self, queue: str, work: Work) -> bool:
        """Let a piece wait; returns False where it does already, or is being done."""
        return bool(self._run("PUT", queue, work.name, work.tenant, _text(work), int(work.ends_job)))

    def take(self, queue: str, ticket: str, worker: str, own: Work, *, known: bool = True) -> Work | None:
        """Return the piece that a worker is to do for a ticket, or None where nothing is left of it.

        A ticket that comes again gets the piece it had. `own` is the piece it was written for: done where nothing
        waits, as then the pool has lost it; `known` says that it has been put into the pool, which older programs did
        not do.
        """
        text = self._run("TAKE", queue, ticket, worker, own.name, own.tenant, _text(own), int(known))
        return None if text is None else Work.model_validate_json(text)

    def done(self, queue: str, ticket: str) -> None:
        """Forget a ticket, whose piece has come to an end, and charge its tenant for the time it took."""
        self._run("DONE", queue, ticket, _LATEST_WEIGHT)

    def defer(self, queue: str, ticket: str, worker: str, seconds: float) -> None:
        """Keep a piece for its ticket, which comes back within that many seconds."""
        self._run("DEFER", queue, ticket, worker, seconds)

    def renew(self, worker: str, seconds: float = LEASE_SECONDS) -> None:
        """Say that a worker is alive."""
        self._run("RENEW", worker, seconds)

    def retire(self, worker: str) -> None:
        """Say that a worker is gone: what it holds is given back at the next look."""
        self._call("zrem", _LEASES, worker)

    def reclaim(self, queue: str) -> list[Work]:
        """Give back what workers hold that are taken for dead, and return these pieces: they need tickets."""
        return _works(self._run("RECLAIM", queue))

    def held(self, queue: str, worker: str) -> dict[str, Work]:
        """Return what a worker holds, by ticket."""
        held = [json.loads(text) for text in self._call("hvals", f"cityzones:running:{queue}")]
        return {h["ticket"]: Work.model_validate_json(h["work"]) for h in held if h["worker"] == worker}

    def release(self, queue: str, worker: str, tickets: Iterable[str]) -> list[Work]:
        """Give back what a worker holds for these tickets, and return these pieces: they need tickets anew."""
        return _works(self._run("RELEASE", queue, worker, *tickets))

    def orphans(self, queue: str, tickets: int) -> list[Work]:
        """Return waiting pieces that no ticket is left for, where the queue holds that many tickets."""
        return _works(self._run("ORPHANS", queue, tickets))

    def load(self, queue: str) -> Load:
        """Return how much waits and is being done."""
        keys = (f"cityzones:waiting:{queue}", f"cityzones:running:{queue}")
        return Load(*(int(self._call("hlen", key)) for key in keys))

    def jobs(self, queue: str) -> set[str]:
        """Return the jobs that have a piece in this queue, waiting or being done."""
        keys = (f"cityzones:waiting:{queue}", f"cityzones:running:{queue}")
        return {name.partition("/")[0] for key in keys for name in self._call("hkeys", key)}

    def _run(self, script: str, *arguments: Any) -> Any:
        try:
            return self._scripts[script](args=arguments)
        except RedisError as error:
            raise QueueUnavailable(_AWAY) from error

    def _call(self, command: str, *arguments: Any) -> Any:
        try:
            return getattr(self._client, command)(*arguments)
        except RedisError as error:
            raise QueueUnavailable(_AWAY) from error


def _text(work: Work) -> str:
    return work.model_dump_json(exclude_none=True)


def _works(texts: Iterable[str]) -> list[Work]:
    return [Work.model_validate_json(text) for text in texts]
