"""Uploads: files clients send before a job, announced or arrived, with what was found in them, counted and expiring."""

from __future__ import annotations

from jobs.uploads.expiry import expire_uploads
from jobs.uploads.ledger import Ledger
from jobs.uploads.parts import Parts
from jobs.uploads.records import AwaitedRecord, UploadKind, UploadRecord, Way
from jobs.uploads.store import UploadStore

__all__ = [
    "AwaitedRecord",
    "Ledger",
    "Parts",
    "UploadKind",
    "UploadRecord",
    "UploadStore",
    "Way",
    "expire_uploads",
]
