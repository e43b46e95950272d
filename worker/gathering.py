"""The folder in which the processes of one worker put their counts together, told before anything counts."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Final

# jobs.metrics' name for it; that module cannot be imported yet: with it prometheus_client would be, which looks once.
_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


def gather_counts() -> None:
    """Let every process of this worker count in one folder where the worker has a port for its metrics.

    The folder belongs to that port, which no other worker of the host can have; `serve` empties it once it has the
    port. Raises PermissionError where it is somebody else's. A folder that the environment names is taken as it is.
    """
    port = os.environ.get("CITYZONES_WORKER_PORT", "0")
    if "worker" not in sys.argv or not port.isdigit() or int(port) == 0 or _VARIABLE in os.environ:
        return
    folder = Path(tempfile.gettempdir()) / f"cityzones-metrics-{os.getuid()}-{port}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        msg = f"{folder} is not this user's: remove it, or set {_VARIABLE} to a folder of this worker's own"
        raise PermissionError(msg)
    os.environ[_VARIABLE] = str(folder)
