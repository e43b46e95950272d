"""The end of an upload that came by itself: its bytes are gathered, counted, hashed, judged, and only then kept."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from obstore.exceptions import NotFoundError

from jobs.errors import (
    BadImage,
    BadVector,
    ChecksumMismatch,
    MissingCrs,
    SizeMismatch,
    UnsupportedFormat,
    UploadNotComplete,
    UploadTooLarge,
)
from jobs.inspection import inspect_file
from jobs.scratch import no_room_told
from jobs.settings import Settings
from jobs.uploads.records import AwaitedRecord, UploadRecord
from jobs.uploads.store import UploadStore, arriving

log = logging.getLogger("cityzones.uploads")

# A file that ends in one of these will not become better: it is deleted, and the client starts again.
_REFUSED: Final = (
    BadImage, BadVector, ChecksumMismatch, MissingCrs, SizeMismatch, UnsupportedFormat, UploadTooLarge,
)  # fmt: skip

_PREFIX: Final = "cityzones-upload-"
_LEFT_SECONDS: Final = 12 * 3600


def complete(uploads: UploadStore, upload: str) -> UploadRecord:
    """Make an announced upload exist once all its bytes are there, and return its record; twice is harmless.

    Raises UploadNotComplete while bytes are missing, ScratchFull where there is no room to look at them, and for a
    file that is not what was announced or cannot be used SizeMismatch, ChecksumMismatch, UploadTooLarge or what
    `inspect_file` raises: then nothing is kept of it.
    """
    found = uploads.find(upload)
    if isinstance(found, AwaitedRecord):
        try:
            found = _judged(uploads, found)
        except _REFUSED:
            uploads.delete(upload)
            raise
        except (NotFoundError, FileNotFoundError):  # another request completed it meanwhile, and its parts are gone
            found = uploads.read(upload)
        log.info("%s: %s file of %d bytes", found.upload, found.kind, found.size)
    uploads.sweep(upload, but=found)
    return found


@contextmanager
def scratch_folder(settings: Settings) -> Iterator[Path]:
    """Yield a folder for files that are looked at, gone afterwards; raises ScratchFull where it fills the disk."""
    root = settings.scratch or Path(tempfile.gettempdir())
    with no_room_told():
        root.mkdir(parents=True, exist_ok=True)
        _tidy(root)
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=root) as folder:
            yield Path(folder)


def keep(
    uploads: UploadStore, path: Path, name: str, tenant: str, *, sha256: str, upload: str | None = None,
    allowance: int | None = None,
) -> UploadRecord:  # fmt: skip
    """Judge a file that is here whole and keep it; raises what `inspect_file` raises, and UploadQuotaExceeded."""
    found = inspect_file(path, name, uploads.storage.settings)
    return uploads.add(
        path, filename=name, kind=found.kind, suffix=found.suffix, facts=found.facts, tenant=tenant, upload=upload,
        sha256=sha256, allowance=allowance,
    )  # fmt: skip


def _tidy(root: Path) -> None:
    """Delete what a process that was killed has left, so long ago that no request can still be using it."""
    for folder in root.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _LEFT_SECONDS:
                shutil.rmtree(folder)


def _judged(uploads: UploadStore, awaited: AwaitedRecord) -> UploadRecord:
    _check_size(uploads, awaited)
    with scratch_folder(uploads.storage.settings) as folder:
        path = folder / "arrived"
        digest = _gather(_bytes(uploads, awaited), path, awaited.size)
        if awaited.sha256 and digest != awaited.sha256:
            raise ChecksumMismatch(f"the bytes that came have SHA-256 {digest}, not {awaited.sha256}; send them again")
        return keep(uploads, path, awaited.filename, awaited.tenant, sha256=digest, upload=awaited.upload)


def _check_size(uploads: UploadStore, awaited: AwaitedRecord) -> None:
    there: int | None
    if awaited.way == "resumable":
        there = uploads.parts(awaited.upload).offset()
        there = None if there < awaited.size else there
    else:
        there = uploads.storage.size(arriving(awaited.upload))
    if there is None:
        raise UploadNotComplete(f"the {awaited.size} bytes of {awaited.upload} are not all there; send them first")
    if there != awaited.size:
        raise SizeMismatch(f"{there} bytes came where {awaited.size} were announced; announce the file again")


def _bytes(uploads: UploadStore, awaited: AwaitedRecord) -> Iterator[bytes]:
    if awaited.way == "resumable":
        return uploads.parts(awaited.upload).stream()
    return uploads.storage.stream(arriving(awaited.upload))


def _gather(chunks: Iterator[bytes], target: Path, size: int) -> str:
    """Write chunks to a file and return their SHA-256; the object may have been replaced since it was measured."""
    digest, seen = hashlib.sha256(), 0
    with target.open("wb") as file:
        for chunk in chunks:
            seen += len(chunk)
            if seen > size:
                break
            digest.update(chunk)
            file.write(chunk)
    if seen != size:
        raise SizeMismatch(f"the bytes changed while they were read; {size} were announced: announce the file again")
    return digest.hexdigest()
