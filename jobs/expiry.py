"""Deletes what has been kept as long as was told: a job's data, later its records."""

from __future__ import annotations

import logging
from datetime import timedelta

from jobs.errors import UnknownJob
from jobs.record import now
from jobs.shelves import DueJob
from jobs.store import JobStore

log = logging.getLogger(__name__)


def expire_jobs(store: JobStore) -> list[DueJob]:
    """Delete what was due before today and return it; doing it twice, or half, is harmless.

    A finished job that an unfinished one takes its probabilities from is left for another day.
    """
    needed = {source for job in store.unfinished() if (source := _source(store, job))}
    yesterday = (now() - timedelta(days=1)).date()
    gone = [due for due in store.shelves.due(yesterday) if due.job not in needed]
    for due in gone:
        if store.ended(due.job):
            log.info("%s: its %s go, due on %s", due.job, due.what, due.day)
            (store.sweep if due.what == "data" else store.forget)(due.job)
        store.shelves.settle(due)
    return gone


def _source(store: JobStore, job: str) -> str | None:
    try:
        named = store.request(job).execute["inputs"]["imagery"].get("job")
    except UnknownJob:
        return None
    return str(named) if named else None
