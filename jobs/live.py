"""Live progress of jobs in Redis: nothing here is truth, everything can be rebuilt from object storage."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from jobs.errors import QueueUnavailable
from jobs.record import LiveRecord, Warned, now

_KEEP_SECONDS = 7 * 24 * 3600
# A job's record is one hash, so that a status is one look; its warnings are fields that start so.
_WARNED = "warning:"
# Adds blocks to the set of those done and writes its size into the record, as one step.
_COUNT = """
for i = 3, #ARGV do redis.call('SADD', KEYS[1], ARGV[i]) end
local done = redis.call('SCARD', KEYS[1])
redis.call('HSET', KEYS[2], 'blocks_done', done, 'updated', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return done
"""
_TICK = "cityzones:tick"
_AWAY = "the queue does not answer; the job is kept and goes on once it does"


def connect(url: str) -> redis.Redis:
    """Return a client with timeouts and three retries; the server may be reached by TCP or a unix socket."""
    retry = Retry(ExponentialBackoff(cap=1.0, base=0.1), 3)
    return redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5, retry=retry, decode_responses=True)


class LiveJobs:
    """Progress records by job id. Every method may raise QueueUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._count = client.register_script(_COUNT)

    def read(self, job: str) -> LiveRecord | None:
        """Return the live record, or None where Redis knows nothing of the job."""
        return live_record(dict(self._call("hgetall", job_key(job))))

    def update(self, job: str, **fields: Any) -> None:
        """Set fields of the live record and the time of the last sign of life."""
        values = {"updated": now().isoformat()} | {name: str(value) for name, value in fields.items()}
        self._call("hset", job_key(job), mapping=values)
        self._keep(job_key(job))

    def warn(self, job: str, warned: Warned) -> None:
        """Add a warning; the same warning twice is one."""
        text = warned.model_dump_json()
        self._call("hset", job_key(job), f"{_WARNED}{hashlib.sha256(text.encode()).hexdigest()[:16]}", text)
        self._keep(job_key(job))

    def block_done(self, job: str, *blocks: str) -> int:
        """Note finished blocks (again is harmless) and return how many are finished."""
        keys = [f"{job_key(job)}:done", job_key(job)]
        try:
            return int(self._count(keys=keys, args=[now().isoformat(), _KEEP_SECONDS, *blocks]))
        except RedisError as error:
            raise QueueUnavailable(_AWAY) from error

    def attempt(self, job: str, task: str) -> int:
        """Count one more start of a task and return how often it has been started."""
        count = int(self._call("hincrby", job_key(job) + ":attempts", task, 1))
        self._keep(job_key(job) + ":attempts")
        return count

    def settled(self, job: str, task: str) -> None:
        """Forget the starts of a task that ended in an orderly way."""
        self._call("hdel", job_key(job) + ":attempts", task)

    def claim(self, job: str, what: str, seconds: int) -> bool:
        """Take something of a job for a while; returns whether nobody else had it."""
        return bool(self._call("set", f"{job_key(job)}:claim:{what}", "", nx=True, ex=seconds))

    def release(self, job: str, what: str) -> None:
        """Give back what was taken."""
        self._call("delete", f"{job_key(job)}:claim:{what}")

    def remember(self, name: str, text: str, *, most: int) -> None:
        """Add a line to a list that is not a job's own record, of which the newest `most` are kept."""
        self._call("rpush", job_key(name), text)
        self._call("ltrim", job_key(name), -most, -1)
        self._keep(job_key(name))

    def remembered(self, name: str) -> list[str]:
        """Return the lines of a list, oldest first."""
        return list(self._call("lrange", job_key(name), 0, -1))

    def forget(self, job: str) -> None:
        """Drop everything known of a job."""
        self._call("delete", *(job_key(job) + part for part in ("", ":done", ":attempts", ":log")))

    def tick(self) -> None:
        """Note that the regular look has just been taken."""
        self._call("set", _TICK, now().isoformat(), ex=_KEEP_SECONDS)

    def ticked(self) -> datetime | None:
        """Return when the last regular look was taken, None where nothing is known of one."""
        found = self._call("get", _TICK)
        return datetime.fromisoformat(found) if found else None

    def ping(self) -> None:
        """Raise QueueUnavailable unless the server answers."""
        self._call("ping")

    def _keep(self, key: str) -> None:
        self._call("expire", key, _KEEP_SECONDS)

    def _call(self, command: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return getattr(self._client, command)(*args, **kwargs)
        except RedisError as error:
            raise QueueUnavailable(_AWAY) from error


def live_record(fields: Mapping[str, str]) -> LiveRecord | None:
    """Return a record from the fields of its hash, None where there are none."""
    if not fields:
        return None
    warned = sorted(text for name, text in fields.items() if name.startswith(_WARNED))
    told = {name: text for name, text in fields.items() if not name.startswith(_WARNED)}
    return LiveRecord.model_validate(told | {"warnings": tuple(Warned.model_validate_json(w) for w in warned)})


def job_key(job: str) -> str:
    """Return the key of a job's hash; with a suffix, of what is kept beside it."""
    return f"cityzones:{job}"
