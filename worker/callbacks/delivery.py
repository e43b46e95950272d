"""Delivers callbacks: the end of a job until its receiver has it or the schedule is over, its progress once each."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Final

from opentelemetry.trace import SpanKind

from jobs.callbacks.outbox import Attempt, Event, ending_event, is_due, moment
from jobs.callbacks.signing import headers, secrets_of
from jobs.callbacks.targets import parse_target
from jobs.errors import UnknownJob
from jobs.metrics import CALLBACKS
from jobs.queue import DELIVER, enqueue
from jobs.record import RequestRecord, now
from jobs.request import Subscriber
from jobs.shelves import made_until
from worker.callbacks.bodies import ending_body, status_body
from worker.callbacks.sending import Answer, post
from worker.context import Context
from worker.pipeline.watched import watched

log = logging.getLogger(__name__)

# A receiver may ask for patience, but not for ever.
LONGEST_WAIT: Final = 24 * 3600.0
# How much longer than its timeout an attempt may take: names are looked up as well.
_GRACE_SECONDS: Final = 60
# A job's place in the outbox is made before the job; that without a job after so long is of one never made.
_STILL_BORN: Final = timedelta(hours=1)


def deliver(context: Context, job: str) -> None:
    """Tell a job's end to its subscriber where that is due, and note what came of it; twice is harmless."""
    request, ended = _known(context, job), context.store.ended(job)
    if request is None or ended is None:
        return
    event = ending_event(request, ended)
    if event is None:
        context.store.outbox.close(job)
    elif context.live.claim(job, "delivery", int(context.settings.callback_timeout) + _GRACE_SECONDS):
        try:
            _go_on(context, request, event)
        finally:
            context.live.release(job, "delivery")


def report_progress(context: Context, job: str, tenth: str) -> None:
    """Tell how a running job goes, once: whether or not this arrives, the next one says more."""
    request = _known(context, job)
    uri = _subscriber(request).inProgressUri if request else None
    if request is None or uri is None or context.store.ended(job):
        return
    answer = _send(context, request, uri, f"running-{tenth}0", status_body(context, job))
    log.info("%s at %s0 %%: %s %s", job, tenth, parse_target(uri).host, answer.detail)


def _subscriber(request: RequestRecord) -> Subscriber:
    return Subscriber.model_validate(request.execute["subscriber"])


def _known(context: Context, job: str) -> RequestRecord | None:
    """Return what was asked; None, and its place in the outbox given up in time, where the job is not there."""
    try:
        return context.store.request(job)
    except UnknownJob:
        if job < made_until(now() - _STILL_BORN):
            context.store.outbox.close(job)
        return None


def _go_on(context: Context, request: RequestRecord, event: Event) -> None:
    """Make the attempt that is due; whoever calls has the delivery to themselves."""
    last = context.store.outbox.last(request.job, event)
    if last and last.next is None:
        context.store.outbox.close(request.job)
    elif is_due(last):
        _attempt(context, request, event, last.number + 1 if last else 1)


def _attempt(context: Context, request: RequestRecord, event: Event, number: int) -> None:
    """Send once, note it, and see to the next attempt: soon by the queue, later by the regular look."""
    with watched(context, request.job, "callback", kind=SpanKind.PRODUCER) as outcome:
        outcome.word = _attempted(context, request, event, number)


def _attempted(context: Context, request: RequestRecord, event: Event, number: int) -> str:
    """Make an attempt and return what came of it in a word: done, retried or failed."""
    subscriber = _subscriber(request)
    uri = subscriber.successUri if event == "successful" else subscriber.failedUri
    assert uri is not None  # noqa: S101 - ending_event() saw it
    answer = _send(context, request, uri, event, ending_body(context, request.job, event))
    wait = None if answer.accepted or answer.is_gone else _wait(context, number, answer)
    attempt = Attempt(
        number=number, time=moment(), delivered=answer.accepted, detail=answer.detail, status=answer.status,
        next=None if wait is None else moment() + timedelta(seconds=wait),
    )  # fmt: skip
    context.store.outbox.note(request.job, event, attempt)
    _tell(request.job, parse_target(uri).host, attempt)
    if wait is None:
        context.store.outbox.close(request.job)
    elif wait <= context.settings.recover_every:
        enqueue(context.app, DELIVER, request.job, after=wait)
    word = "done" if answer.accepted else "failed" if wait is None else "retried"
    CALLBACKS.labels(word).inc()
    return word


def _send(context: Context, request: RequestRecord, uri: str, what: str, body: bytes) -> Answer:
    """Sign a body for a job's tenant and send it; the message's id is the same however often it is sent."""
    secrets = secrets_of(request.tenant, context.settings)
    if not secrets:
        return Answer("not sent: this service has no secret to sign callbacks with any more")
    told = {
        "Content-Type": "application/json",
        "Link": f'<{context.settings.public_url}/jobs/{request.job}>; rel="monitor"',
        **headers(f"msg_{request.job}_{what}", int(time.time()), body, secrets),
    }
    return post(uri, body, told, context.settings)


def _wait(context: Context, number: int, answer: Answer) -> float | None:
    """Return the seconds until the attempt after this one, None where the schedule is over."""
    schedule = context.settings.callback_retry_seconds
    if number > len(schedule):
        return None
    return max(schedule[number - 1], min(answer.retry_after or 0.0, LONGEST_WAIT))


def _tell(job: str, host: str, attempt: Attempt) -> None:
    if attempt.delivered:
        log.info("%s was told to %s at attempt %d", job, host, attempt.number)
    elif attempt.next:
        log.info("%s was not told to %s, attempt %d: %s", job, host, attempt.number, attempt.detail)
    else:
        log.warning("%s is told to %s no more, after attempt %d: %s", job, host, attempt.number, attempt.detail)
