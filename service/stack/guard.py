"""Runs one server and outlives whoever asked for it, so that no process and no shared memory is left behind.

Run as a script by `service.stack.process`, with the standard library only:
`python -I guard.py <parent pid> <shared memory prefix or -> <folder to remove or -> <grace seconds> <command...>`.

A parent that is killed cannot clean up. This process notices within a quarter of a second, ends the server as its
parent would have, kills what is left of the server's process group and removes its shared memory. Were the guard
itself killed, the kernel would still send the server SIGTERM (parent-death signal).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL = 0.25
_WOKEN_BY = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}


def main(parent: int, prefix: str, folder: str, grace: float, command: list[str]) -> int:
    """Run the command until it ends, the parent dies or a signal asks for the end; return its exit status."""
    # Blocked, then awaited: a signal between fork and wait is not lost. SIGCHLD needs a handler to be queued.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, _WOKEN_BY)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # The server is trusted to start no process before exec, and this process has one thread: preexec_fn is safe.
    server = subprocess.Popen(command, process_group=0, preexec_fn=_child_setup(libc, os.getpid()))  # noqa: S603, PLW1509
    try:
        while server.poll() is None and os.getppid() == parent:
            caught = signal.sigtimedwait(_WOKEN_BY, _POLL)
            if caught is not None and caught.si_signo != signal.SIGCHLD:
                break
        return _end(server, grace)
    finally:
        _sweep(prefix, folder)


def _child_setup(libc: ctypes.CDLL, guard: int) -> Callable[[], None]:
    def setup() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WOKEN_BY)
        if os.getppid() != guard:
            os._exit(1)

    return setup


def _end(server: subprocess.Popen[bytes], grace: float) -> int:
    """End the server politely, then by force, with everything in its process group."""
    server.terminate()
    try:
        status = server.wait(grace)
    except subprocess.TimeoutExpired:
        status = -signal.SIGKILL
    try:
        os.killpg(server.pid, signal.SIGKILL)
    except ProcessLookupError:
        return status
    server.wait()
    _reap()
    return status


def _reap() -> None:
    """Wait for orphans of the server, which the subreaper flag made ours, so that their memory is free to remove."""
    limit = time.monotonic() + 2.0
    while time.monotonic() < limit:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return


def _sweep(prefix: str, folder: str) -> None:
    if folder != "-":
        shutil.rmtree(folder, ignore_errors=True)
    if prefix != "-":
        for region in Path("/dev/shm").glob(f"{prefix}*"):  # noqa: S108 - where POSIX shared memory lies on Linux
            region.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]), sys.argv[5:]))
