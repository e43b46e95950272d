"""The objects whose existence says that a block is done."""

from __future__ import annotations


def marker_key(job: str, block: str) -> str:
    """Return the key whose existence says that a block is done."""
    return f"jobs/{job}/blocks/{block}.json"
