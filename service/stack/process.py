"""Starts a server under a guard, waits until it answers, and ends it; free ports and readable failures included."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from models.errors import CityzonesError

GUARD: Final = Path(__file__).with_name("guard.py")
_TAIL_BYTES: Final = 4000
_POLL: Final = 0.05


class StackFailed(CityzonesError):
    """A server of the embedded stack did not start, or ended by itself."""

    code = "stack-failed"


def free_port() -> int:
    """Return a TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class GuardedProcess:
    """One server as a child of a guard (see `service.stack.guard`); both end when this process does."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path | None,
        environment: Mapping[str, str] | None = None,
        shm_prefix: str = "-",
        folder: Path | None = None,
        grace: float = 10.0,
    ) -> None:
        """Start the command; its output is appended to `log`, or joins this process's where that is None.

        `grace` is the seconds between SIGTERM and SIGKILL; shared memory under `shm_prefix` and the runtime `folder`
        are removed after the server, however it ended.
        """
        self.name = name
        self.log = log
        self._grace = grace
        self._folder = folder
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
        guard = [sys.executable, "-I", str(GUARD), str(os.getpid()), shm_prefix]
        guard += [str(folder or "-"), str(grace), *command]
        self._output = None if log is None else log.open("a+b")
        # A session of its own: Ctrl-C in a terminal reaches the caller only, which then ends its servers in order.
        self._guard = subprocess.Popen(  # noqa: S603 - the command is built here, from paths of this installation
            guard,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )

    @property
    def guard_pid(self) -> int:
        """The guard's process id; the server is its only child."""
        return self._guard.pid

    @property
    def alive(self) -> bool:
        """Whether the server still runs."""
        return self._guard.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, timeout: float) -> None:
        """Wait until `ready` says yes; raises StackFailed, with the end of the log, where it ends or stays silent."""
        limit = time.monotonic() + timeout
        while not ready():
            if not self.alive:
                raise self.failure("ended while starting")
            if time.monotonic() > limit:
                raise self.failure(f"did not answer within {timeout:.0f} s")
            time.sleep(_POLL)

    def failure(self, what: str) -> StackFailed:
        """Return an error that says what happened and carries the end of the log, if it has one of its own."""
        if self.log is None:
            return StackFailed(f"{self.name} {what}; its output says why")
        return StackFailed(f"{self.name} {what}; the end of {self.log.name} says:\n{self.tail()}")

    def tail(self) -> str:
        """Return the last lines of the log; nothing where the server has none of its own."""
        if self._output is None:
            return ""
        # By the handle, not by the name: the guard may have removed a temporary log with its folder.
        handle = self._output.fileno()
        size = os.fstat(handle).st_size
        return os.pread(handle, _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode("utf-8", "replace").strip()

    def stop(self) -> None:
        """End the server and wait for it; harmless if it has ended already."""
        if self.alive:
            self._guard.terminate()
        try:
            self._guard.wait(self._grace + 5.0)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        if self._folder is not None:
            # The guard has done this, unless it was killed.
            shutil.rmtree(self._folder, ignore_errors=True)
