"""Brings back jobs the queue has lost: every request without an end is planned again, finished blocks are kept."""

from __future__ import annotations

import logging
from datetime import timedelta

from celery import Celery

from jobs.errors import UnknownJob
from jobs.queue import PLAN, enqueue
from jobs.record import now
from jobs.settings import Settings
from jobs.store import JobStore

log = logging.getLogger(__name__)


def recover(store: JobStore, app: Celery, settings: Settings, *, all_jobs: bool = False) -> list[str]:
    """Enqueue the planning of jobs that have no end and show no life, and return their ids.

    A job shows life when its live record changed within `settings.recover_after` seconds; with `all_jobs` every
    unfinished job is enqueued. Planning twice is harmless: the plan is created once, finished blocks are skipped.
    """
    lost = [job for job in store.unfinished() if all_jobs or _silent(store, job, settings)]
    for job in lost:
        log.warning("recovering %s", job)
        store.live.update(job, phase="waiting for a worker, recovered")
        enqueue(app, PLAN, job)
    return lost


def _silent(store: JobStore, job: str, settings: Settings) -> bool:
    try:
        record = store.read(job)
    except UnknownJob:
        return False
    last = max(moment for moment in (record.updated, record.created) if moment)
    return now() - last > timedelta(seconds=settings.recover_after)
