"""Processes that take turns: each is sent a line, runs one round alone and answers how long it took."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIMIT = 300.0
"""Seconds a round may take before the process is ended."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass
class Contender:
    """One process; `command` is completed by the path of its specification, `results` are its rounds' answers.

    An answer is seconds by the clock and seconds of processor time, or GFLOP/s twice.
    """

    name: str
    command: list[str]
    spec: dict[str, Any]
    folder: Path
    results: list[tuple[float, float]] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None

    @property
    def out(self) -> Path:
        """Where its probabilities lie after `finish`."""
        return self.folder / f"{self.name}.npy"

    def start(self) -> None:
        """Start the process and wait until it has run a round that does not count."""
        path = self.folder / f"{self.name}.json"
        path.write_text(json.dumps(self.spec | {"out": str(self.out)}), encoding="utf-8")
        with (self.folder / f"{self.name}.log").open("w") as log:
            self._process = subprocess.Popen(
                [*self.command, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=os.environ | _ONE_THREAD,
            )  # fmt: skip
        if self._read() != "ready":
            raise SystemExit(self._failed())

    def round(self) -> None:
        """Let it run once more."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
            clock, processor = self._read().split()
            self.results.append((float(clock), float(processor)))
        except (BrokenPipeError, ValueError) as error:
            raise SystemExit(self._failed()) from error

    def finish(self) -> None:
        """Let it write its probabilities and end; a process that hangs is killed."""
        if self._process is None:
            return
        try:
            self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _read(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(LIMIT, self._process.kill)
        watchdog.start()
        try:
            return self._process.stdout.readline().strip()
        finally:
            watchdog.cancel()

    def _failed(self) -> str:
        log = (self.folder / f"{self.name}.log").read_text(encoding="utf-8", errors="replace")
        return f"{self.name} ended:\n{log[-2000:]}"
