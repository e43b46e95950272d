"""What every request needs: settings, storage, jobs, uploads, the queue and the model server, opened once a process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Final

from fastapi import Depends, Request
from redis import Redis

from jobs.errors import QueueUnavailable
from jobs.inference import TritonModels
from jobs.keys import KeyRing, KeyStore
from jobs.links import LinkSigner, signer_of
from jobs.live import LiveJobs, connect
from jobs.queue import JobQueue
from jobs.quotas import Quotas
from jobs.rates import RateLimits
from jobs.record import LiveRecord
from jobs.settings import Settings
from jobs.standing import Standing
from jobs.storage import Storage
from jobs.store import JobStore
from jobs.tenants import TenantStore
from jobs.uploads import UploadStore
from service.crowd import Crowd

log = logging.getLogger("cityzones.service")


_SPARED_SECONDS: Final = 3.0


class SparingLive(LiveJobs):
    """Live progress that, once Redis has not answered, is not asked again for a moment.

    Every refusal takes its retries; a list of fifty jobs would add them up while Redis is away.
    """

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self._spared_until = 0.0

    def read(self, job: str) -> LiveRecord | None:
        """Return the live record; raises QueueUnavailable at once within seconds of the last time it had to."""
        if time.monotonic() < self._spared_until:
            msg = "the queue did not answer a moment ago"
            raise QueueUnavailable(msg)
        try:
            return super().read(job)
        except QueueUnavailable:
            self._spared_until = time.monotonic() + _SPARED_SECONDS
            raise


@dataclass(frozen=True, slots=True)
class State:
    """The parts of the house the interface talks to. All are safe to share between threads."""

    settings: Settings
    storage: Storage
    jobs: JobStore
    standing: Standing
    uploads: UploadStore
    queue: JobQueue
    signer: LinkSigner
    triton: TritonModels
    keys: KeyStore
    ring: KeyRing
    tenants: TenantStore
    rates: RateLimits
    quotas: Quotas
    crowd: Crowd


def open_state(settings: Settings) -> State:
    """Open everything; nothing is contacted yet, so that the interface starts while other parts still do."""
    if "link_secret" not in settings.model_fields_set:
        log.warning(
            "CITYZONES_LINK_SECRET is not set: links end with this process, and other API processes refuse them"
        )
    if settings.auth == "open":
        log.warning("CITYZONES_AUTH=open: no key is asked, everybody on this machine may do everything")
    storage, queue = Storage(settings), JobQueue.of_settings(settings)
    keys, tenants = KeyStore(storage), TenantStore(storage, settings)
    jobs = JobStore(storage, SparingLive(connect(settings.live_url)))
    return State(
        settings=settings,
        storage=storage,
        jobs=jobs,
        standing=Standing(jobs, settings.live_url),
        uploads=UploadStore(storage),
        queue=queue,
        signer=signer_of(settings),
        triton=TritonModels(
            settings.triton_url, timeout=settings.triton_timeout, shared_memory=settings.triton_shared_memory
        ),
        keys=keys,
        ring=KeyRing(keys, seconds=settings.key_cache_seconds),
        tenants=tenants,
        rates=RateLimits(settings.live_url),
        quotas=Quotas(jobs, tenants, settings.live_url),
        crowd=Crowd(queue.pool, settings.waiting_jobs),
    )


def opener(settings: Settings) -> Callable[[], State]:
    """Return a function that opens the state on its first call and hands out the same one ever after."""
    return cache(lambda: open_state(settings))


def state_of(request: Request) -> State:
    """Return the state of the application a request came to."""
    state = request.app.state.open()
    assert isinstance(state, State)  # noqa: S101 - create_app put it there
    return state


async def _parts(request: Request) -> State:
    return state_of(request)  # on the event loop: a plain function would cost every request a thread


Parts = Annotated[State, Depends(_parts)]
