"""Examines this machine: room for copies of uploads, and for tiles in shared memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jobs.inference_connections import is_local
from jobs.inference_memory import FOLDER
from jobs.settings import Settings
from service.doctor.findings import Finding, Notes

_NOTES: Final = Notes("host")
_GIB: Final = 2**30
_LEAST_SHARED: Final = 2**28


def examine_host(settings: Settings) -> Iterator[Finding]:
    """Yield whether disks and shared memory have room; run it where a worker runs."""
    yield _disk("scratch", settings.scratch or Path(tempfile.gettempdir()), settings, "CITYZONES_SCRATCH")
    if settings.stores_locally:
        folder = Path(settings.storage_url.removeprefix("file://")).absolute()
        yield _disk("storage", folder, settings, "CITYZONES_STORAGE_URL")
    shares = settings.triton_shared_memory
    if shares == "on" or (shares == "auto" and is_local(settings.triton_url)):
        yield _shared_memory(FOLDER)


def _disk(name: str, folder: Path, settings: Settings, variable: str) -> Finding:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    said = f"{free / _GIB:.1f} GiB free at {there}"
    mend = f"free some, or let {variable} name a larger disk"
    if free < settings.max_upload_bytes:
        return _NOTES.fault(name, f"{said}: less than one upload may have", mend)
    if free < 5 * settings.max_upload_bytes:
        return _NOTES.warning(name, f"{said}: a few large uploads fill it", mend)
    return _NOTES.ok(name, said)


def _shared_memory(folder: Path) -> Finding:
    if not folder.is_dir():
        return _NOTES.warning("shared memory", f"there is no {folder}", "tiles go over gRPC, which takes longer")
    size = shutil.disk_usage(folder).total
    said = f"{size / 2**20:.0f} MiB at {folder}"
    if size < _LEAST_SHARED:
        return _NOTES.warning(
            "shared memory", f"{said}: tiles go over gRPC once it is full",
            "give the container more (--shm-size 1g, or an emptyDir in memory at /dev/shm)",
        )  # fmt: skip
    return _NOTES.ok("shared memory", said)
