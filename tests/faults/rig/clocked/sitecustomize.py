"""Read by a worker whose clock libfaketime sets: it sleeps in another way.

Where libfaketime 0.9.10 leaves the monotonic clock alone, as clocks that jump do, Python's own sleep ends with EINVAL.
"""

import select
import time


def _sleep(seconds: float) -> None:
    """Sleep."""
    select.select([], [], [], seconds)


time.sleep = _sleep
