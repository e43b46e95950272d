"""Scratch files: what a full disk means to whoever waits for an answer."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jobs.errors import ScratchFull

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def no_room_told() -> Iterator[None]:
    """Turn the system's errors about a full disk into ScratchFull; every other error passes."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise ScratchFull("there is no room for a file of this size at the moment") from error
        raise
