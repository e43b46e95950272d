"""A worker process's own folder for what it writes while it works, cleared away by the next one where it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, Final

_LOCK: Final = "lock"
_TAKEN: Final = "process-"
_STARTING: Final = "starting-"


class Desk:
    """`Desk(scratch).folder`. It is this process's for as long as this object lives.

    The lock on a file in it says so: the kernel gives it back whichever way a process ends, containers that share the
    scratch included, where process ids would say nothing.
    """

    def __init__(self, scratch: Path) -> None:
        """Clear desks away that nobody sits at any more, and take one."""
        for left in scratch.glob(f"{_TAKEN}*"):
            _clear(left)
        made = Path(mkdtemp(prefix=_STARTING, dir=scratch))
        self._lock = (made / _LOCK).open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # Only now is it a desk that others look at.
        self.folder = made.rename(scratch / made.name.replace(_STARTING, _TAKEN, 1))


def _clear(folder: Path) -> None:
    """Delete a desk unless its process lives."""
    try:
        with (folder / _LOCK).open("r+b") as lock:
            if _is_free(lock):
                shutil.rmtree(folder, ignore_errors=True)
    except FileNotFoundError:
        return  # another process has just cleared it


def _is_free(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(lock.fileno()).st_nlink > 0
