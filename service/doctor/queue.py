"""Examines broker and live state: that they answer, keep what they hold, and evict nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import redis

from jobs.lengths import client_of
from jobs.settings import Settings
from service.doctor.findings import Finding, Notes

_NOTES: Final = Notes("queue")
_SECONDS: Final = 3.0
_OLDEST: Final = (6, 2)
_NEARLY_FULL: Final = 0.8


def examine_queue(settings: Settings) -> Iterator[Finding]:
    """Yield what both servers say of themselves."""
    for name, url, variable in (
        ("broker", settings.broker_url, "CITYZONES_BROKER_URL"),
        ("live state", settings.live_url, "CITYZONES_LIVE_URL"),
    ):
        try:
            with client_of(url, seconds=_SECONDS) as client:
                told: Mapping[str, Any] = client.info("everything")
        except (redis.RedisError, OSError) as error:
            yield _NOTES.fault(
                name, f"does not answer: {error}", f"start it, and check {variable}, its password and the network"
            )
            continue
        yield _version(name, told)
        yield _eviction(name, told)
        yield from _room(name, told)
        if name == "broker":
            yield _persistence(name, told)


def _version(name: str, told: Mapping[str, Any]) -> Finding:
    kind = "Valkey" if told.get("valkey_version") else "Redis"
    version = str(told.get("valkey_version") or told.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        return _NOTES.fault(name, f"{kind} {version} is too old", "take Valkey 8 or newer, or Redis 6.2 or newer")
    return _NOTES.ok(name, f"{kind} {version} answers")


def _eviction(name: str, told: Mapping[str, Any]) -> Finding:
    policy = str(told.get("maxmemory_policy", "unknown"))
    if policy != "noeviction":
        return _NOTES.fault(
            f"{name}: eviction", f"maxmemory-policy is {policy}: a full server throws work away",
            "set maxmemory-policy noeviction",
        )  # fmt: skip
    return _NOTES.ok(f"{name}: eviction", "noeviction")


def _room(name: str, told: Mapping[str, Any]) -> Iterator[Finding]:
    most, used = int(told.get("maxmemory", 0)), int(told.get("used_memory", 0))
    if most and used > _NEARLY_FULL * most:
        yield _NOTES.warning(
            f"{name}: room", f"{used / most:.0%} of {most / 2**20:.0f} MiB are in use", "give it more memory"
        )


def _persistence(name: str, told: Mapping[str, Any]) -> Finding:
    if not int(told.get("aof_enabled", 0)):
        return _NOTES.warning(
            f"{name}: persistence", "the append-only file is off: a restart loses the queue until the next recovery",
            "set appendonly yes on a disk that outlives the server",
        )  # fmt: skip
    return _NOTES.ok(f"{name}: persistence", "append-only file")
