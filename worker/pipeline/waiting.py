"""Waits for what other hosts are slow to answer, so that a dismissed job is left within a second."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final, TypeVar

from jobs.tracing import carried

T = TypeVar("T")

_LOOK_SECONDS: Final = 0.5


def while_wanted(call: Callable[[], T], still_wanted: Callable[[], None]) -> T:
    """Return what a call returns, or raise what it raises; `still_wanted` is asked meanwhile and may raise to leave it.

    A call that was left goes on by itself until its own timeouts end it: it must only read.
    """
    pool = ThreadPoolExecutor(1)
    try:
        pending = pool.submit(carried(call))
        while not wait([pending], timeout=_LOOK_SECONDS).done:
            still_wanted()
        return pending.result()
    finally:
        pool.shutdown(wait=False)
