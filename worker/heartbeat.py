"""The heartbeat of a worker's main process: it renews the worker's lease and hands out anew what dead ones held.

Any worker does it for all, so that nothing waits for one that is not there; Redis does each step as one, so that only
one of them does it.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from celery.worker import state
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from jobs.errors import QueueUnavailable
from jobs.pool import LEASE_SECONDS, RENEW_SECONDS
from jobs.queue import POOLED
from worker.context import Context
from worker.turns import WORKER

log = logging.getLogger("cityzones.worker")

_running: list[Heartbeat] = []


class Heartbeat(threading.Thread):
    """Beats every RENEW_SECONDS until it is stopped."""

    def __init__(self, context: Context, worker: str = WORKER) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._context = context
        self._worker = worker
        self._pool = context.queue.pool
        self._wake = threading.Event()
        self._draining = self._stopped = False
        self._renewed = self._steady_since = time.monotonic()
        self._short: dict[str, bool] = {}

    def run(self) -> None:
        """Beat; a Redis that is away is met again at the next beat."""
        while not self._stopped:
            try:
                self.beat()
            except (QueueUnavailable, OperationalError, RedisError, OSError) as error:
                log.warning("no heartbeat: %s", error)
            except Exception:
                log.exception("no heartbeat")
            self._wake.wait(RENEW_SECONDS)
            self._wake.clear()

    def beat(self) -> None:
        """Renew the lease, then look for pieces that nobody does any more."""
        self._pool.renew(self._worker)
        moment = time.monotonic()
        if moment - self._renewed > LEASE_SECONDS / 2:
            self._steady_since = moment  # Redis, or this machine, was away: the others had no chance to renew either
        self._renewed = moment
        if self._draining:
            self._forgive()
        for queue in POOLED:
            self._tend(queue)

    def drain(self) -> None:
        """Say that the worker is ending: what it has to leave undone is not held against the job."""
        self._draining = True
        self._wake.set()

    def stop(self) -> None:
        """End, and let others have at once what this worker still holds."""
        self._stopped = True
        self._wake.set()
        self.join(RENEW_SECONDS)
        try:
            self._pool.retire(self._worker)
        except QueueUnavailable:
            log.warning("the lease of this worker runs out by itself")

    def _tend(self, queue: str) -> None:
        lost = self._pool.release(queue, self._worker, self._dropped(queue))
        if self._renewed - self._steady_since >= LEASE_SECONDS:
            lost += self._pool.reclaim(queue)
        for work in lost:
            log.warning("%s was left undone by its worker and waits again", work.name)
        self._context.queue.send_tickets(queue, lost)
        self._replace_tickets(queue)

    def _dropped(self, queue: str) -> list[str]:
        """Return the tickets that hold a piece although Celery has ended their tasks: over their time limit, say."""
        return [ticket for ticket in self._pool.held(queue, self._worker) if ticket not in state.requests]

    def _replace_tickets(self, queue: str) -> None:
        """Send tickets for pieces that have none left, where that has been so for two beats."""
        short = self._pool.orphans(queue, self._tickets(queue))
        if short and self._short.get(queue):
            log.warning("%d pieces of work in the queue %s had lost their tickets", len(short), queue)
            self._context.queue.send_tickets(queue, short)
        self._short[queue] = bool(short) and not self._short.get(queue)

    def _tickets(self, queue: str) -> int:
        with self._context.app.pool.acquire(block=True) as connection:
            channel = connection.default_channel
            return int(channel.queue_declare(queue).message_count)

    def _forgive(self) -> None:
        for queue in POOLED:
            for work in self._pool.held(queue, self._worker).values():
                self._context.live.settled(work.job, work.step)


def beat_for(context: Context) -> None:
    """Have the worker of this process beat from when it is ready until it ends."""

    @worker_ready.connect(weak=False)
    def _start(**_: Any) -> None:
        _running.append(Heartbeat(context))
        _running[0].start()

    @worker_shutting_down.connect(weak=False)
    def _drain(**_: Any) -> None:
        for heartbeat in _running:
            heartbeat.drain()

    @worker_shutdown.connect(weak=False)
    def _stop(**_: Any) -> None:
        for heartbeat in _running:
            heartbeat.stop()
