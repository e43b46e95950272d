"""Asks for callbacks when a job starts, goes on and ends; a queue that is down delays them and fails no job."""

from __future__ import annotations

import logging
from typing import Final

from jobs.errors import QueueUnavailable
from jobs.queue import DELIVER, REPORT, enqueue
from worker.context import Context

log = logging.getLogger(__name__)

_A_WEEK: Final = 7 * 24 * 3600


def tell_end(context: Context, job: str) -> None:
    """Have the end of a job told to its subscriber, where it has one: now, or by the next regular look."""
    if context.store.outbox.is_open(job):
        _ask(context, DELIVER, job)


def tell_progress(context: Context, job: str) -> None:
    """Have progress told where somebody wants to hear it: once for each tenth, and not too often."""
    if not context.live.claim(job, "progress", context.settings.callback_progress_seconds):
        return
    live = context.live.read(job)
    tenth = str(live.progress // 10 if live else 0)
    if not context.live.claim(job, f"progress:{tenth}", _A_WEEK):
        return
    subscriber = context.store.request(job).execute.get("subscriber") or {}
    if subscriber.get("inProgressUri"):
        _ask(context, REPORT, job, tenth)


def _ask(context: Context, task: str, job: str, *args: str) -> None:
    try:
        enqueue(context.app, task, job, *args)
    except QueueUnavailable as error:
        log.warning("%s: its callback waits: %s", job, error.detail)
