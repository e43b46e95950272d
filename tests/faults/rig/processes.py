"""Finds processes, and ends them as faults do."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress

import psutil

from service.stack.process import GuardedProcess


def server_of(process: GuardedProcess) -> psutil.Process:
    """Return the server behind a guard."""
    return psutil.Process(process.guard_pid).children()[0]


def family_of(process: GuardedProcess) -> list[psutil.Process]:
    """Return a server and everything it has started; none where it has ended."""
    with suppress(psutil.NoSuchProcess, IndexError):
        server = server_of(process)
        return [server, *server.children(recursive=True)]
    return []


def kill_server(process: GuardedProcess) -> None:
    """Kill a server with all it has started, as when its host dies, and wait until its guard has gone too."""
    family = family_of(process)
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.suspend()  # so that none sees another die
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, timeout=10.0)
    process.stop()


def kill_one(pid: int) -> None:
    """Kill one process."""
    os.kill(pid, signal.SIGKILL)


def owner_of(port: int, among: Iterable[psutil.Process]) -> psutil.Process:
    """Return the process whose TCP connection has this local port; raises LookupError."""
    for process in among:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if any(c.laddr and c.laddr.port == port for c in process.net_connections("tcp")):
                return process
    msg = f"nobody holds port {port}"
    raise LookupError(msg)
