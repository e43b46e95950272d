"""Works on maps in a few threads of its own, so that a page full of tiles never holds up the rest of the interface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import anyio
from fastapi import Request

from jobs.errors import MapUnreadable
from jobs.public.problems import RequestError
from jobs.record import OutputFile
from jobs.remembered import Remembered
from service.state import State
from service.tiles.files import MapFiles, copies_folder
from service.tiles.reading import Coverage, coverage

T = TypeVar("T")

_WAITING: Final = 512  # some pages full of tiles; what comes beyond is told to come again
_COUNTED_SECONDS: Final = 24 * 3600.0
_COUNTED_MAPS: Final = 1000


class MapRoom:
    """Finds the file of a map and works on it, `tile_threads` at a time."""

    def __init__(self, parts: State) -> None:
        settings = parts.settings
        self._files = MapFiles(parts.storage, copies_folder(settings), settings.tile_cache_bytes)
        self._coverages: Remembered[str, Coverage] = Remembered(seconds=_COUNTED_SECONDS, most=_COUNTED_MAPS)
        self._limiter = anyio.CapacityLimiter(settings.tile_threads)

    async def coverage(self, output: OutputFile) -> Coverage:
        """Return how much each class of a map covers, counted once for everybody who asks; raises as `work` does."""
        known = self._coverages.get(output.sha256)
        return known or self._coverages.put(output.sha256, await self.work(output, coverage))

    async def work(self, output: OutputFile, call: Callable[[Path], T]) -> T:
        """Return what `call` makes of the output's file; raises RequestError where it is gone or too many wait."""
        if self._limiter.statistics().tasks_waiting >= _WAITING:
            raise RequestError("unavailable", "too many tiles are waiting to be drawn")
        return await anyio.to_thread.run_sync(self._work, output, call, limiter=self._limiter)

    def _work(self, output: OutputFile, call: Callable[[Path], T]) -> T:
        path = self._files.path(output)
        try:
            return call(path)
        except MapUnreadable:
            if path.is_file():
                raise
        return call(self._files.path(output))  # another process made room with this copy, or the job was dismissed


def room_of(request: Request) -> MapRoom:
    """Return the room of the application a request came to."""
    room = request.app.state.maps()
    assert isinstance(room, MapRoom)  # noqa: S101 - create_app put it there
    return room
