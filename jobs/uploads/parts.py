"""The parts of an upload that comes in pieces, in object storage, so that any process goes on where another stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jobs.errors import OffsetConflict, TooManyParts
from jobs.storage import Storage

PART_BYTES: Final = 4 * 1024**2
MOST_PARTS: Final = 10_000


class Parts:
    """uploads/<upload>/parts/<offset, 20 digits>: each begins where the one before it ends."""

    def __init__(self, storage: Storage, upload: str) -> None:
        self._storage = storage
        self._below = f"uploads/{upload}/parts"

    def offset(self) -> int:
        """Return how many bytes are there without a gap."""
        return sum(size for _, size in self._joined())

    def add(self, offset: int, data: bytes) -> int:
        """Write a part only if none begins there, and return where the next one does.

        Raises OffsetConflict where another writer was first.
        """
        if not self._storage.create(f"{self._below}/{offset:020d}", data):
            raise OffsetConflict(
                f"another request has sent the bytes from {offset} on; ask for the offset with HEAD and go on from it"
            )
        return offset + len(data)

    def check_room(self) -> None:
        """Raise TooManyParts where no further part may be added."""
        if len(self._joined()) >= MOST_PARTS:
            raise TooManyParts(f"this upload came in {MOST_PARTS} pieces; start again with pieces of some MiB")

    def stream(self) -> Iterator[bytes]:
        """Yield the bytes there are, in order; raises NotFoundError where somebody deletes them meanwhile."""
        for key, _ in self._joined():
            yield from self._storage.stream(key)

    def _joined(self) -> list[tuple[str, int]]:
        """Return the parts that join one another from the first byte on: key and size."""
        found, end = [], 0
        for key, size in sorted(self._storage.sizes(self._below).items()):
            if int(key.rpartition("/")[2]) != end:
                break
            found.append((key, size))
            end += size
        return found
