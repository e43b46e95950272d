"""Brings back what the queue has lost: jobs without an end are planned again, callbacks that are due are sent."""

from __future__ import annotations

import logging
from datetime import timedelta

from celery import Celery

from jobs.callbacks.outbox import ending_event, is_due
from jobs.errors import UnknownJob
from jobs.queue import DELIVER, POOLED, JobQueue, enqueue
from jobs.quotas import Quotas
from jobs.record import now
from jobs.settings import Settings
from jobs.store import JobStore
from jobs.tenants import TenantStore
from jobs.work import PLAN, Work

log = logging.getLogger(__name__)


def recover(store: JobStore, queue: JobQueue, settings: Settings, *, all_jobs: bool = False) -> list[str]:
    """Enqueue the planning of jobs that have no end and of which no work waits or is done, and return their ids.

    Of those that showed life within `settings.recover_after` seconds the next piece may be on its way; with `all_jobs`
    they are enqueued too. Planning twice is harmless: the plan is created once, finished blocks are skipped.
    """
    at_work = set[str]().union(*(queue.pool.jobs(name) for name in POOLED))
    unfinished = store.unfinished(but=at_work)
    quotas = Quotas(store, TenantStore(store.storage, settings), settings.live_url)
    for job in unfinished:
        quotas.rejoin(store.head(job).tenant, job)
    lost = [job for job in unfinished if all_jobs or _silent(store, job, settings)]
    for job in lost:
        log.warning("recovering %s", job)
        store.live.update(job, phase="waiting for a worker, recovered")
        store.logs.write(job, "service", "showed no sign of life: its next step is in the queue again", level="warning")
        queue.send(Work(task=PLAN, job=job, tenant=store.head(job).tenant))
    return lost


def recover_callbacks(store: JobStore, app: Celery, settings: Settings) -> list[str]:
    """Enqueue the callbacks that are due, and return their jobs' ids; those a dead queue has lost are among them."""
    due = [job for job in store.outbox.opened() if _is_due(store, job)]
    for job in due:
        # The next look asks again: until then is long enough to wait for a worker.
        enqueue(app, DELIVER, job, expires=settings.recover_every)
    return due


def _is_due(store: JobStore, job: str) -> bool:
    try:
        request = store.request(job)
    except UnknownJob:
        return True  # its delivery tidies up
    ended = store.ended(job)
    event = ending_event(request, ended) if ended else None
    return ended is not None and (event is None or is_due(store.outbox.last(job, event)))


def _silent(store: JobStore, job: str, settings: Settings) -> bool:
    try:
        record = store.read(job)
    except UnknownJob:
        return False
    last = max(moment for moment in (record.updated, record.created) if moment)
    return now() - last > timedelta(seconds=settings.recover_after)
