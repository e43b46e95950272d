"""Watches the processes of a stack: processor seconds and the highest resident memory of each, by what it does."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

_MIB: Final = 1024.0
# What a process is, by a word of its command line; the first that fits.
_ROLES: Final = (
    ("tritonserver", "triton"),
    ("triton_python_backend_stub", "triton"),
    ("worker.tasks", "worker"),
    ("bentoml", "service"),
    ("valkey", "queue"),
)


@dataclass(slots=True)
class Usage:
    """By role: processor seconds of all its processes, and the highest peak (VmHWM, MiB) of any one of them."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    peak_mib: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def since(self, before: Usage) -> Usage:
        """Return the processor seconds since an earlier look, with the peaks of this one."""
        spent = {role: value - before.seconds.get(role, 0.0) for role, value in self.seconds.items()}
        return Usage(spent, dict(self.peak_mib))


def usage() -> Usage:
    """Look at every descendant of this process."""
    found = Usage()
    for process in psutil.Process(os.getpid()).children(recursive=True):
        try:
            words = " ".join(process.cmdline())
            times, peak = process.cpu_times(), _peak(process.pid)
        except (psutil.NoSuchProcess, FileNotFoundError):
            continue
        name = role(words)
        found.seconds[name] += times.user + times.system
        found.peak_mib[name] = max(found.peak_mib[name], peak)
    return found


def role(words: str) -> str:
    """Return what a process of a stack does, by its command line."""
    return next((name for word, name in _ROLES if word in words), "other")


def _peak(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next((float(line.split()[1]) / _MIB for line in lines if line.startswith("VmHWM")), 0.0)
