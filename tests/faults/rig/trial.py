"""Does jobs undisturbed, then again while something breaks, and tells what is lost, differs or was left lying about."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import obstore
import psutil

from jobs.errors import StorageUnavailable
from jobs.ids import mirrored
from jobs.pool import Load
from jobs.queue import POOLED
from tests.faults.rig.installation import Installation

_SHARED_MEMORY: Final = Path("/dev/shm")
_CLIENT: Final = re.compile(r"cityzones-client-\d+-(\d+)-")
"""Memory shared with a model server; its second number is the process that made it."""
_IDLE: Final = Load(waiting=0, running=0)
_POLL: Final = 0.25


def _nothing() -> None:
    """Leave all as it is."""


@dataclass(frozen=True, slots=True)
class Struck:
    """What a fault says of itself: when it was over, which jobs were to fail with which code, and which it made.

    `kept` are ids of what else it has put into storage for good; `afterwards` is done once the jobs have ended.
    """

    over: float
    failing: Mapping[str, str] = field(default_factory=dict)
    made: Sequence[str] = ()
    kept: Sequence[str] = ()
    afterwards: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to break an installation. `strike` hands the trial's jobs in, breaks something, and mends it."""

    name: str
    strike: Callable[[Installation, Trial], Struck]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fault did.

    `recovery_seconds` is the time from the end of the fault (a kill is over at once, an outage when the server is
    back) to the end of the last job that was open then, waiting for other jobs and working included: nothing is
    subtracted. `orphans` are keys of the bucket, names in /dev/shm and processes that an undisturbed run leaves not.
    """

    fault: str
    jobs: int
    lost: tuple[str, ...]
    differing: tuple[str, ...]
    orphans: tuple[str, ...]
    recovery_seconds: float
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, differs, or is left."""
        return not (self.lost or self.differing or self.orphans)


class Trial:
    """Jobs with what an undisturbed run makes of them. The same id and request give the same bytes."""

    def __init__(self, installation: Installation, inputs: Sequence[dict[str, Any]]) -> None:
        """Create the jobs and do them undisturbed; raises TimeoutError, and AssertionError where one fails."""
        self.installation = installation
        self.jobs = [installation.create(told) for told in inputs]
        started = time.monotonic()
        installation.hand_in(*self.jobs)
        self.wait(300.0)
        self.seconds = time.monotonic() - started
        self._outputs = {job: self._digests(job) for job in self.jobs}
        assert all(self._outputs.values()), [installation.store.failure(job) for job in self.jobs]
        self._left = self._keys()
        plans = {job: installation.store.plan(job) for job in self.jobs}
        self.large = [job for job, plan in plans.items() if plan and len(plan.blocks) > 1]

    def run(self, fault: Fault, *, seconds: float = 180.0) -> Outcome:
        """Do the jobs again while the fault strikes, wait for them that long after it, and judge."""
        self._reset(self.jobs)
        started = time.monotonic()
        with self._watching() as seen:
            struck = fault.strike(self.installation, self)
            self.wait(seconds)
        struck.afterwards()
        self._settle()
        lost = [job for job in self.jobs if not self._ended_well(job, struck)]
        differing = [job for job in self.jobs if job not in struck.failing and self._differs(job)]
        orphans = [*self._orphans(struck), *self._forsaken_memory(), *self._survivors()]
        for job in struck.made:
            lost += [] if self._digests(job) else [job]
            differing += [] if self._same_again(job) else [job]
        self._forget(struck.made)
        return Outcome(
            fault.name, len(self.jobs) + len(struck.made), tuple(lost), tuple(differing), tuple(orphans),
            round(max(0.0, seen[-1] - struck.over), 1), round(seen[-1] - started, 1),
        )  # fmt: skip

    def _reset(self, jobs: Sequence[str]) -> None:
        """Forget all of the jobs but that they were asked for."""
        store = self.installation.store
        prefixes = tuple(f"jobs/{job}/" for job in jobs)
        keys = [key for key in store.storage.keys("jobs") if key.startswith(prefixes)]
        obstore.delete(store.storage.backend, [key for key in keys if not key.endswith("/request.json")])
        for job in jobs:
            store.live.forget(job)
            store.live.update(job)  # or the recovery takes it for lost before it is handed in
            store.shelves.open("public", job)

    def _forget(self, jobs: Sequence[str]) -> None:
        """Delete what is in the bucket of jobs that a fault has made."""
        storage = self.installation.store.storage
        storage.delete(key for key in storage.keys("") if jobs and _dayless(key) not in self._left)

    def wait(self, seconds: float) -> None:
        """Wait until no job is open, at most that long."""
        limit, storage = time.monotonic() + seconds, self.installation.store.storage
        while time.monotonic() < limit:
            with suppress(StorageUnavailable):
                if not storage.keys("open"):
                    return
            time.sleep(_POLL)

    @contextmanager
    def _watching(self) -> Iterator[list[float]]:
        """Yield a list whose last item is the moment when a job was last seen open; look who works meanwhile."""
        seen, over = [time.monotonic()], threading.Event()

        def watch() -> None:
            while not over.wait(_POLL):
                self.installation.look_who_works()
                with suppress(StorageUnavailable, OSError):
                    if self.installation.store.storage.keys("open"):
                        seen[0] = time.monotonic()

        self.installation.look_who_works()  # before anything is killed
        thread = threading.Thread(target=watch, name="watching", daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            over.set()
            thread.join()

    def wait_for(self, *jobs: str, seconds: float) -> None:
        """Wait until these jobs have ended; raises TimeoutError."""
        limit, store = time.monotonic() + seconds, self.installation.store
        while not all(store.ended(job) for job in jobs):
            if time.monotonic() > limit:
                raise TimeoutError(jobs)
            time.sleep(_POLL)

    def _settle(self) -> None:
        """Wait until no work waits and none is done, also of what came late or twice; raises TimeoutError."""
        pool, limit = self.installation.queue.pool, time.monotonic() + 60.0
        with self.installation.valkey.client(0) as client:
            while any(pool.load(name) != _IDLE or client.llen(name) for name in POOLED):
                if time.monotonic() > limit:
                    raise TimeoutError({name: pool.load(name) for name in POOLED})
                time.sleep(_POLL)

    def _ended_well(self, job: str, struck: Struck) -> bool:
        store = self.installation.store
        if job in struck.failing:
            failure = store.failure(job)
            return failure is not None and failure.code == struck.failing[job]
        return store.ended(job) == "successful"

    def _digests(self, job: str) -> dict[str, str]:
        """Return the SHA-256 of a job's outputs in storage by name; x of one that is not what the result says."""
        store = self.installation.store
        result = store.result(job)
        told = {} if result is None else result.outputs
        found = {name: _sha256(store.storage.get(output.key) or b"") for name, output in told.items()}
        return {name: digest if digest == told[name].sha256 else "x" for name, digest in found.items()}

    def _differs(self, job: str) -> bool:
        found = self._digests(job)
        return bool(found) and found != self._outputs[job]  # one without outputs is lost, and counted there

    def _same_again(self, job: str) -> bool:
        """Do a job that a fault has made again, undisturbed, and compare."""
        disturbed = self._digests(job), self._keys()
        self._reset([job])
        self.installation.hand_in(job)
        self.wait(60.0)
        return disturbed == (self._digests(job), self._keys())

    def _keys(self) -> set[str]:
        return {_dayless(key) for key in self.installation.store.storage.keys("")}

    def _orphans(self, struck: Struck) -> list[str]:
        """Return keys of the bucket that are too many or too few, but those of jobs that failed or are new."""
        named = (*struck.failing, *struck.made, *struck.kept)
        apart = (*named, *(mirrored(name) for name in named), *(["idempotency/"] if struck.made else []))
        return sorted(key for key in self._keys() ^ self._left if not any(name in key for name in apart))

    def _forsaken_memory(self) -> list[str]:
        """Return what lies in shared memory of model servers we had, and of workers that have ended."""
        names = [path.name for path in _SHARED_MEMORY.glob("cityzones-*")]
        ended = {pid for pid in self.installation.workers if not psutil.pid_exists(pid)}
        dead = [name for name in names if (of := _CLIENT.match(name)) and int(of[1]) in ended]
        return [*dead, *(name for name in names if name.startswith(tuple(self.installation.former_prefixes)))]

    def _survivors(self) -> list[str]:
        found = [p for p in self.installation.killed if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        return [f"process {process.pid}" for process in found]


def _dayless(key: str) -> str:
    """Return a key without the day on which something is due, which is another day tomorrow."""
    return re.sub(r"^due/[^/]+/", "due/", key)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
