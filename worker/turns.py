"""A worker's turn: it takes the piece of work that its ticket is worth, and settles what becomes of it.

Pieces that could not be done for want of a server are kept for their ticket, which comes back after a while. Messages
of programs before the pool are understood; those of a form that is newer than this program wait for a worker that
knows it.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from jobs.errors import (
    ImageryUnavailable,
    InferenceUnavailable,
    QueueUnavailable,
    StorageUnavailable,
    UnknownJob,
)
from jobs.record import PUBLIC
from jobs.work import HEADER, VERSION, Work, version_of
from models.errors import WeightsUnavailable
from worker.context import Context

log = logging.getLogger(__name__)

# This worker, with all its processes: they are forked from the one that reads this line.
WORKER: Final = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
AWAY: Final = (ImageryUnavailable, InferenceUnavailable, QueueUnavailable, StorageUnavailable, WeightsUnavailable)
# Some five minutes in all; what is still undone then is found by the recovery, once the servers answer it.
_TRIES: Final = 12
_LONGEST_SECONDS: Final = 30.0
_ON_ITS_WAY_SECONDS: Final = 15.0
_TOO_NEW_SECONDS: Final = 5.0


@contextmanager
def turn(task: Any, context: Context, arguments: list[str]) -> Iterator[Work | None]:
    """Yield the piece of work to do for a task's message, None where nothing is left of it.

    Raises Celery's Retry where the message has to come back.
    """
    header = (task.request.headers or {}).get(HEADER, {})
    if version_of(header) > VERSION:
        log.warning("a message of version %s waits for a newer worker", header["version"])
        raise task.retry(countdown=_TOO_NEW_SECONDS, max_retries=None)
    queue, ticket = task.request.delivery_info["routing_key"], task.request.id
    try:
        own = _own(task, context, arguments, header)
        work = context.queue.pool.take(queue, ticket, WORKER, own, known=bool(header))
        yield work
    except AWAY as error:
        raise _later(task, context, queue, ticket, error) from error
    if work is not None:
        _settle(context, queue, ticket)


def _own(task: Any, context: Context, arguments: list[str], header: dict[str, Any]) -> Work:
    tenant = header.get("tenant")
    if tenant is None:
        try:
            tenant = context.store.head(arguments[0]).tenant
        except UnknownJob:
            tenant = PUBLIC  # its step finds out
    return Work.of_message(task.name, arguments, header, tenant=tenant)


def _later(task: Any, context: Context, queue: str, ticket: str, error: Exception) -> Exception:
    """Return what has the message sent again after a while, longer each time, or the error once that is enough."""
    tries = task.request.retries + 1
    if tries > _TRIES:
        _settle(context, queue, ticket)
        return error
    seconds = min(2.0**tries, _LONGEST_SECONDS)
    try:
        context.queue.pool.defer(queue, ticket, WORKER, seconds + _ON_ITS_WAY_SECONDS)
    except QueueUnavailable:
        log.warning("the pool does not answer; ticket %s comes back in %g s", ticket, seconds)
    retry: Exception = task.retry(exc=error, countdown=seconds, max_retries=None, throw=False)
    return retry


def _settle(context: Context, queue: str, ticket: str) -> None:
    """Forget the ticket; where that fails, the heartbeat gives its piece back, and it is found to be done."""
    try:
        context.queue.pool.done(queue, ticket)
    except QueueUnavailable as error:
        log.warning("ticket %s is settled later: %s", ticket, error.detail)
