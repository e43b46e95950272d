"""Keeps the warnings of GDAL and its wrappers about hostile files out of the log."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quietly(kind: type[Warning]) -> Iterator[None]:
    """Ignore one kind of warning inside the block: what it says is checked and told to the client instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kind)
        yield
