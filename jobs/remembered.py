"""A bounded memory of what was read from storage a moment ago."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values that count for some seconds; of more than `most`, those set longest ago are dropped. Safe for threads."""

    def __init__(self, *, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        """Return the value set within the last seconds, or None."""
        entry = self._entries.get(key)
        return entry[1] if entry and time.monotonic() < entry[0] else None

    def knew(self, key: K) -> bool:
        """Say whether a value was set, however long ago."""
        return key in self._entries

    def put(self, key: K, value: V) -> V:
        """Remember a value from now on, and return it."""
        with self._lock:
            self._entries[key] = (time.monotonic() + self._seconds, value)
            self._entries.move_to_end(key)
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
        return value

    def forget(self, key: K) -> None:
        """Drop a value; harmless where there is none."""
        with self._lock:
            self._entries.pop(key, None)
