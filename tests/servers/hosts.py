"""Hosts of one installation, simulated: each a worker with a working directory and scratch of its own.

They share what machines share: the queue, the object storage and the model server, all named by their addresses.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from jobs.live import LiveJobs, connect
from jobs.queue import QUEUES, JobQueue
from jobs.record import PUBLIC
from jobs.request import parse_execute
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.store import JobStore
from jobs.uploads import UploadStore
from jobs.work import PLAN, Work
from service.stack.embedded import CALM
from service.stack.process import GuardedProcess

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Host:
    """A running worker and its log."""

    name: str
    process: GuardedProcess

    @property
    def seconds(self) -> float:
        """Processor seconds of the worker so far, with the processes that ended."""
        worker = psutil.Process(self.process.guard_pid).children()[0]
        family = [worker, *worker.children(recursive=True)]
        return sum(sum(p.cpu_times()[:2]) for p in family)

    @property
    def blocks(self) -> set[str]:
        """The blocks it has mapped, by its log."""
        return set(re.findall(r" (\w+): done in ", self.process.log.read_text()))


class Installation:
    """Storage, queue and model server at the addresses of `settings`, and the hosts that work for them."""

    def __init__(self, folder: Path, shared: Mapping[str, str]) -> None:
        """Prepare hosts below `folder`; `shared` are the CITYZONES_ variables all of them get."""
        self.folder = folder
        # Memory is not shared between machines, whatever their addresses look like here.
        self.shared = dict(shared) | {"CITYZONES_TRITON_SHARED_MEMORY": "off"}
        told = {name.removeprefix("CITYZONES_").lower(): value for name, value in self.shared.items()}
        self.settings = Settings.model_validate(told)
        self.queue = JobQueue.of_settings(self.settings)
        self.app = self.queue.app
        self.store = JobStore(Storage(self.settings), LiveJobs(connect(self.settings.live_url)))
        self.uploads = UploadStore(self.store.storage)

    @contextmanager
    def hosts(self, number: int) -> Iterator[list[Host]]:
        """Run that many hosts, until the block ends."""
        with ExitStack() as stack:
            running = [self._host(f"host-{number}-{k}", stack) for k in range(number)]
            limit = time.monotonic() + 60
            while len(self.app.control.ping(timeout=0.5)) < number:
                if time.monotonic() > limit:
                    raise TimeoutError([host.process.tail() for host in running])
            yield running

    def _host(self, name: str, stack: ExitStack) -> Host:
        home = self.folder / name
        home.mkdir(parents=True)
        command = [
            *("env", "-C", str(home), sys.executable, "-m", "celery", "-A", "worker.tasks", "worker"),
            *("-Q", ",".join(QUEUES), "-c", "1", "-n", f"worker@{name}", "-l", "WARNING"),
        ]
        own = {"CITYZONES_SCRATCH": str(home / "scratch"), "TMPDIR": str(home), "HOME": str(home)}
        environment = dict(os.environ) | CALM | self.shared | own | {"PYTHONPATH": str(ROOT)}
        process = GuardedProcess(name, command, log=home / "worker.log", environment=environment, grace=20.0)
        stack.callback(process.stop)
        return Host(name, process)

    def submit(self, inputs: Mapping[str, Any]) -> str:
        """Create a job as the service does."""
        job = self.store.create("local-climate-zones", parse_execute({"inputs": dict(inputs)})).job
        self.queue.send(Work(task=PLAN, job=job, tenant=PUBLIC))
        return job

    def again(self, job: str) -> None:
        """Forget all of a job but that it was asked for, and enqueue it anew."""
        prefix = f"jobs/{job}/"
        self.store.storage.delete(key for key in self.store.storage.keys(prefix) if key != f"{prefix}request.json")
        self.store.live.forget(job)
        self.queue.send(Work(task=PLAN, job=job, tenant=PUBLIC))

    def wait(self, job: str, seconds: float) -> dict[str, str]:
        """Wait for a job to succeed and return the SHA-256 of its outputs by name."""
        limit = time.monotonic() + seconds
        while (state := self.store.ended(job)) is None and time.monotonic() < limit:
            time.sleep(0.1)
        result = self.store.result(job)
        if result is None:
            raise TimeoutError(f"{job}: {state}, {self.store.failure(job)}")
        return {name: output.sha256 for name, output in result.outputs.items()}
