"""Watches the resident memory of every process of a stack, by what it does, while something runs."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import psutil

from benchmarks.city.watch import role

_EVERY_SECONDS: Final = 2.0
_MIB: Final = 1024.0**2


class Memory:
    """`with Memory() as memory: …; memory.figures()`. Looks at all descendants of this process."""

    def __init__(self) -> None:
        """Prepare a watch of MiB by role: one number a look, the sum of its processes."""
        self._looks: list[dict[str, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def figures(self) -> dict[str, Any]:
        """Return the growth by role from the second fifth of the looks to the last, and the highest of each."""
        fifth = max(len(self._looks) // 5, 1)
        early, late = self._looks[fifth : 2 * fifth], self._looks[-fifth:]
        roles = sorted({name for look in self._looks for name in look})
        growth = {name: _median(late, name) / max(_median(early, name), 1.0) - 1 for name in roles}
        peaks = {name: max(look.get(name, 0.0) for look in self._looks) for name in roles}
        return {
            "rss_growth": {name: round(value, 3) for name, value in growth.items()},
            "peak_mib": {name: round(value) for name, value in peaks.items()},
        }

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            found: dict[str, float] = defaultdict(float)
            for process in psutil.Process(os.getpid()).children(recursive=True):
                try:
                    found[role(" ".join(process.cmdline()))] += _private_mib(process.pid)
                except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                    continue
            self._looks.append(dict(found))


def _private_mib(pid: int) -> float:
    """Return the memory of a process, of what it shares its part (PSS), so that forked processes add up."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next((float(line.split()[1]) * 1024 / _MIB for line in lines if line.startswith("Pss:")), 0.0)


def _median(looks: list[dict[str, float]], name: str) -> float:
    return float(np.median([look.get(name, 0.0) for look in looks])) if looks else 0.0
