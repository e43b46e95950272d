"""Works on the next blocks in threads while the present one is used: reading, computing and writing overlap."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from jobs.tracing import carried

T = TypeVar("T")
R = TypeVar("R")

# Blocks worked on side by side; each holds some tens of MiB.
AT_ONCE: Final = 2


def ahead(work: Callable[[T], R], items: Iterable[T], number: int) -> Iterator[R]:
    """Yield `work(item)` in order; `number` items are worked on in threads, and no more results than that wait."""
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(number) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(carried(work), item))
                if len(waiting) > number:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
