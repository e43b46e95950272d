"""What ends: uploads past their date, and those announced whose bytes never came."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from jobs.asking import parse_asked
from jobs.errors import UnknownJob
from jobs.uploads.records import UploadRecord
from jobs.uploads.store import UploadStore

if TYPE_CHECKING:
    from jobs.store import JobStore

log = logging.getLogger("cityzones.uploads")

# A request that was checked just before an upload expired has stored its job well before this is over.
GRACE: Final = timedelta(minutes=15)


def expire_uploads(uploads: UploadStore, jobs: JobStore, now: datetime) -> list[str]:
    """Delete every upload whose date has passed, and return their ids; called again it goes on where it stopped.

    An upload that an unfinished job names stays until that job has ended. What a crash left of an upload that never
    came to exist goes as well.
    """
    gone, needed = [], None
    for end in uploads.ledger.ends(now - GRACE):
        record = uploads.look(end.upload)
        lasting = record is not None and record.expires > now - GRACE
        if not lasting:
            needed = _needed(jobs) if needed is None else needed
            if end.upload in needed:
                continue
            if uploads.sweep(end.upload):
                gone.append(end.upload)
        elif isinstance(record, UploadRecord):
            # Announced once, it has arrived: another note says when it ends. Its link may have been used again.
            uploads.sweep(end.upload, but=record)
        uploads.ledger.settle(end, gone=not lasting)
    if gone:
        log.info("%d uploads expired and were deleted", len(gone))
    return gone


def _needed(jobs: JobStore) -> set[str]:
    """Return every upload that a job without an end names."""
    found: set[str] = set()
    for job in jobs.unfinished():
        try:
            request = jobs.request(job)
        except UnknownJob:
            continue
        found |= set(parse_asked(request.process, request.execute).inputs.uploads.values())
    return found
