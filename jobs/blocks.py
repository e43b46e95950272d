"""The objects that say of each block of a job that it is done, and show what it looks like."""

from __future__ import annotations

from pathlib import PurePosixPath

from jobs.storage import Storage


def marker_key(job: str, block: str) -> str:
    """Return the key whose existence says that a block is done."""
    return f"{_markers(job)}/{block}.json"


def draft_key(job: str, block: str) -> str:
    """Return the key of a block's draft picture; it is written before the marker, and not where nothing is mapped."""
    return f"{_drafts(job)}/{block}.png"


def done_blocks(storage: Storage, job: str) -> frozenset[str]:
    """Return the names of a job's blocks that are done, from one listing."""
    return _names(storage, _markers(job))


def drawn_blocks(storage: Storage, job: str) -> frozenset[str]:
    """Return the names of a job's blocks that have a draft picture, from one listing."""
    return _names(storage, _drafts(job))


def _markers(job: str) -> str:
    return f"jobs/{job}/blocks"


def _drafts(job: str) -> str:
    return f"jobs/{job}/drafts"


def _names(storage: Storage, folder: str) -> frozenset[str]:
    return frozenset(PurePosixPath(key).stem for key in storage.keys(folder))
