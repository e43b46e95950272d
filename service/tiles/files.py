"""Maps and tables of parcels as local files: a local store's in place, those of S3 as copies in a bounded folder."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from obstore.exceptions import BaseError, NotFoundError

from jobs.errors import MapUnreadable, StorageUnavailable
from jobs.public.problems import RequestError
from jobs.record import OutputFile
from jobs.settings import Settings
from jobs.storage import Storage

log = logging.getLogger("cityzones.service")

_LOCKS: Final = 16
_HALF_SECONDS: Final = 3600.0


@dataclass(slots=True)
class MapFiles:
    """Finds the file of a map or of its parcels. Several threads and processes may share the folder of copies.

    A copy is named by its content and appears whole, by a rename; the ones unused for longest go first.
    """

    storage: Storage
    folder: Path
    limit: int
    _locks: tuple[Lock, ...] = field(default_factory=lambda: tuple(Lock() for _ in range(_LOCKS)))

    def path(self, output: OutputFile) -> Path:
        """Return a file with the output's bytes; raises RequestError (not-found) where the storage has it no more."""
        if self.storage.folder:
            path = self.storage.folder / output.key
            if not path.is_file():
                raise _gone()
            return path
        copy = self.folder / f"{output.sha256}{Path(output.filename).suffix}"
        with self._locks[int(output.sha256[:4], 16) % _LOCKS]:
            if copy.is_file():
                os.utime(copy)
            else:
                self._fetch(output, copy)
        return copy

    def _fetch(self, output: OutputFile, copy: Path) -> None:
        private(self.folder)
        half = self.folder / f".{output.sha256}.{os.getpid()}"
        digest = hashlib.sha256()
        try:
            with half.open("wb") as file:
                for part in self.storage.stream(output.key):
                    file.write(part)
                    digest.update(part)
            if digest.hexdigest() != output.sha256:
                raise MapUnreadable(f"{output.key} is not the file the job wrote")
            half.replace(copy)
        except (NotFoundError, FileNotFoundError) as error:
            raise _gone() from error
        except BaseError as error:
            raise StorageUnavailable("the map cannot be fetched from the object storage") from error
        finally:
            half.unlink(missing_ok=True)
        self._make_room(copy)

    def _make_room(self, kept: Path) -> None:
        """Delete the copies unused for longest until the rest fit, and what a process that died left half written."""
        found = sorted(_sizes(self.folder), reverse=True)
        total = 0
        for used, size, path in found:
            total += size
            half = path.name.startswith(".")
            if path != kept and (used < time.time() - _HALF_SECONDS if half else total > self.limit):
                path.unlink(missing_ok=True)
                log.info("the copy %s made room for others", path.name)


def copies_folder(settings: Settings) -> Path:
    """Return the folder of copies: below the scratch folder, else the user's own one among temporary files."""
    if settings.scratch:
        return settings.scratch / "maps"
    return Path(tempfile.gettempdir()) / f"cityzones-maps-{os.getuid()}"


def private(folder: Path) -> None:
    """Make a folder that only this user can write to; raises MapUnreadable where another user's is in its place."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise MapUnreadable(f"{folder} belongs to somebody else: set CITYZONES_SCRATCH to a folder of the service's")


def _sizes(folder: Path) -> list[tuple[float, int, Path]]:
    """Return when each file was last used, its bytes, and its path; files that vanish meanwhile are passed over."""
    found = []
    for entry in os.scandir(folder):
        try:
            facts = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        found.append((facts.st_mtime, facts.st_size, Path(entry.path)))
    return found


def _gone() -> RequestError:
    return RequestError("not-found", "the map is gone; the job was dismissed or its data have expired")
