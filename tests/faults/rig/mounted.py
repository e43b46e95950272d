"""A file system of a few megabytes, to be filled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path | None, mebibytes: int) -> Iterator[dict[str, str]]:
    """Mount a file system in memory at a folder and yield the settings that store there; none without a folder.

    Only root may mount; raises subprocess.CalledProcessError where that is not allowed.
    """
    if folder is None:
        yield {}
        return
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "cityzones", str(folder)], check=True)
    try:
        yield {"CITYZONES_STORAGE_URL": f"file://{folder}"}
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
