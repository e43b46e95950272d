"""Keeps the memory of a worker process bounded: what a block has used goes back to the system."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Final

import pyarrow as pa

_GDAL_MIB: Final = 128
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # mallopt's names
_LARGE: Final = 1 << 20


def bound_memory() -> None:
    """Bound what libraries keep; call it when a process starts, before it works.

    GDAL would keep a twentieth of the machine's memory for blocks of rasters, and Arrow whatever it once had. glibc
    gives each thread a heap of its own, and once large arrays were freed it serves their like from those heaps, over
    which the arrays of blocks then stay scattered: two heaps, and arrays above 1 MiB always from the system, which gets
    them back at once. Elsewhere (musl) nothing needs be done.
    """
    os.environ.setdefault("GDAL_CACHEMAX", str(_GDAL_MIB))
    pa.set_memory_pool(pa.system_memory_pool())
    tune = getattr(_library(), "mallopt", None)
    if tune is not None:
        tune(_ARENA_MAX, 2)
        tune(_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """Return free memory to the system, at the end of a task."""
    trim = getattr(_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _library() -> Any:
    return ctypes.CDLL(None)
