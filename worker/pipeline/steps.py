"""Runs a step so that it ends clearly: skipped where the job has ended, failed with a sentence if it cannot go on."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from jobs.errors import ImageryUnavailable, InferenceUnavailable, QueueUnavailable, StorageUnavailable
from jobs.logs import Level
from jobs.metrics import Outcome
from jobs.store import cancelled_key
from models.errors import CityzonesError, WeightsUnavailable
from worker.callbacks.telling import tell_end
from worker.context import Context
from worker.pipeline.watched import watched

log = logging.getLogger(__name__)

ATTEMPTS = 3


class JobEnded(Exception):
    """The job was dismissed or has ended while a step was running."""


class TaskDied(CityzonesError):
    """A step took its worker down again and again."""

    code = "worker-lost"


class Unexpected(CityzonesError):
    """A fault of ours; the log holds the cause under the reference."""

    code = "internal"


def still_wanted(context: Context, job: str) -> Callable[[], None]:
    """Return a check that raises JobEnded once the job was dismissed."""

    def check() -> None:
        if context.storage.size(cancelled_key(job)) is not None:
            raise JobEnded

    return check


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whether a step should run, and whether it is tried for the last time."""

    wanted: bool
    last: bool = False


@contextmanager
def step(context: Context, job: str, name: str) -> Iterator[Attempt]:
    """Yield whether the step should run, and settle how it ends.

    A CityzonesError fails the job with its sentence. A server that does not answer is raised on, so that the queue
    tries again: the model server and image hosts `ATTEMPTS` times in all, storage and queue without end, as without
    them the job's failure could not even be kept. Everything else fails the job with a reference to the log.
    """
    with watched(context, job, name) as outcome:
        yield from _settled(context, job, name, outcome)


def _settled(context: Context, job: str, name: str, outcome: Outcome) -> Iterator[Attempt]:
    """Do what `step` says, and say how it ended: done, skipped, retried or failed."""
    if context.store.ended(job):
        outcome.word = "skipped"
        _leave(context, job)
        context.store.logs.keep(job)  # where Redis was away when the job ended, it comes back with its ticket
        yield Attempt(wanted=False)
        return
    attempt = context.live.attempt(job, name)
    if attempt > ATTEMPTS:
        outcome.word = "failed"
        _fail(context, job, TaskDied(f"the step {name!r} stopped its worker {ATTEMPTS} times; the job was given up"))
        yield Attempt(wanted=False)
        return
    try:
        yield Attempt(wanted=True, last=attempt >= ATTEMPTS)
    except JobEnded:
        outcome.word = "skipped"
        _leave(context, job)
    except (QueueUnavailable, StorageUnavailable):
        outcome.word = "retried"
        with suppress(QueueUnavailable):
            context.live.settled(job, name)  # no worker died of it
        raise
    except (InferenceUnavailable, ImageryUnavailable, WeightsUnavailable) as error:
        if attempt < ATTEMPTS:
            outcome.word = "retried"
            told = f"attempt {attempt} of {ATTEMPTS}: {error.detail}; it is tried again"
            context.store.logs.write(job, name, told, level="warning")
            raise
        outcome.word = "failed"
        _fail(context, job, error)
    except CityzonesError as error:
        outcome.word = "failed"
        log.info("%s failed in %s: %s", job, name, error.detail)
        _fail(context, job, error)
    except Exception:
        outcome.word = "failed"
        reference = secrets.token_hex(4)
        log.exception("%s failed in %s, reference %s", job, name, reference)
        message = f"the service could not finish this job; tell its operator the reference {reference}"
        _fail(context, job, Unexpected(message))
    context.live.settled(job, name)


def _fail(context: Context, job: str, error: CityzonesError) -> None:
    context.store.fail(job, error)
    tell_end(context, job)


def _leave(context: Context, job: str) -> None:
    """Delete what a dismissed job's running steps have written since it was dismissed."""
    if context.store.ended(job) == "dismissed":
        context.store.sweep(job)


def tell(context: Context, job: str, step: str, message: str, *, level: Level = "info") -> None:
    """Say something to the job's owner and to the operator."""
    log.log(logging.getLevelNamesMapping()[level.upper()], "%s %s: %s", job, step, message)
    context.store.logs.write(job, step, message, level=level)
