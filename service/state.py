"""What every request needs: settings, storage, jobs, uploads, the queue and the model server, opened once a process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated

from celery import Celery
from fastapi import Depends, Request

from jobs.inference import TritonModels
from jobs.links import LinkSigner
from jobs.live import LiveJobs, connect
from jobs.queue import make_app
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.store import JobStore
from jobs.uploads import UploadStore

log = logging.getLogger("cityzones.service")


@dataclass(frozen=True, slots=True)
class State:
    """The parts of the house the interface talks to. All are safe to share between threads."""

    settings: Settings
    storage: Storage
    jobs: JobStore
    uploads: UploadStore
    queue: Celery
    signer: LinkSigner
    triton: TritonModels


def open_state(settings: Settings) -> State:
    """Open everything; nothing is contacted yet, so that the interface starts while other parts still do."""
    if settings.stores_locally and "link_secret" not in settings.model_fields_set:
        log.warning(
            "CITYZONES_LINK_SECRET is not set: links end with this process, and other API processes refuse them"
        )
    storage = Storage(settings)
    return State(
        settings=settings,
        storage=storage,
        jobs=JobStore(storage, LiveJobs(connect(settings.live_url))),
        uploads=UploadStore(storage),
        queue=make_app(settings),
        signer=LinkSigner(settings.link_secret.get_secret_value()),
        triton=TritonModels(settings.triton_url, timeout=settings.triton_timeout),
    )


def opener(settings: Settings) -> Callable[[], State]:
    """Return a function that opens the state on its first call and hands out the same one ever after."""
    return cache(lambda: open_state(settings))


def state_of(request: Request) -> State:
    """Return the state of the application a request came to."""
    state = request.app.state.open()
    assert isinstance(state, State)  # noqa: S101 - create_app put it there
    return state


Parts = Annotated[State, Depends(state_of)]
