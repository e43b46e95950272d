"""How long the queues are: what waits in the broker and for how long, and what is being worked on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import redis
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobs.errors import QueueUnavailable
from jobs.pool_scripts import OLDEST
from jobs.queue import INTERACTIVE, POOLED, QUEUES
from jobs.settings import Settings

ALL_QUEUES: Final = (*QUEUES, INTERACTIVE)
_SECONDS: Final = 1.0


class Length(NamedTuple):
    """Pieces of work of one queue, and the seconds that the one has waited that has waited longest."""

    waiting: int
    running: int
    oldest: float


def running_key(queue: str) -> str:
    """Return the hash of live state that has a field for each piece of work of a queue that runs."""
    return f"cityzones:running:{queue}"


def client_of(url: str, *, seconds: float = _SECONDS) -> redis.Redis:
    """Return a client of a broker's or a live URL that gives up soon and tries nothing twice.

    kombu says redis+socket:// where the Redis client says unix://.
    """
    plain = url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=")
    return redis.Redis.from_url(
        plain, socket_timeout=seconds, socket_connect_timeout=seconds, decode_responses=True, retry=None
    )


def lengths(settings: Settings) -> dict[str, Length]:
    """Return the length of every queue; raises QueueUnavailable within seconds."""
    try:
        waiting = _asked(settings.broker_url, [("llen", queue) for queue in ALL_QUEUES])
        running = [("hlen", running_key(queue)) for queue in ALL_QUEUES]
        live = _asked(settings.live_url, [*running, *(("eval", OLDEST, 0, queue) for queue in ALL_QUEUES)])
    except (redis.RedisError, OSError) as error:
        raise QueueUnavailable("the queue does not answer") from error
    split = len(ALL_QUEUES)
    each = zip(ALL_QUEUES, waiting, live[:split], live[split:], strict=True)
    return {queue: Length(int(waits), int(runs), float(oldest)) for queue, waits, runs, oldest in each}


def _asked(url: str, calls: Iterable[tuple[Any, ...]]) -> list[Any]:
    with client_of(url) as client, client.pipeline(transaction=False) as asked:
        for command, *words in calls:
            getattr(asked, command)(*words)
        found: list[Any] = asked.execute()
    return found


class QueueLengths(Collector):
    """The lengths as gauges, read when Prometheus asks; a queue that is away leaves them out, and says so."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def collect(self) -> Iterable[Metric]:
        """Yield cityzones_queue_up, and while that is 1 the queues' lengths."""
        try:
            found = lengths(self._settings)
        except QueueUnavailable:
            found = {}
        yield GaugeMetricFamily("cityzones_queue_up", "Whether broker and live state answer", value=bool(found))
        waiting = GaugeMetricFamily("cityzones_queue_waiting", "Pieces of work that wait", labels=["queue"])
        running = GaugeMetricFamily("cityzones_queue_running", "Pieces of work that run", labels=["queue"])
        oldest = GaugeMetricFamily(
            "cityzones_queue_oldest_seconds", "Seconds that a piece of work has waited, at most", labels=["queue"]
        )
        for queue, length in found.items():
            waiting.add_metric([queue], length.waiting)
            running.add_metric([queue], length.running)
            if queue in POOLED:  # of the others no moment is kept
                oldest.add_metric([queue], length.oldest)
        yield from (waiting, running, oldest)
