"""A whole installation on loopback that can be killed in parts: S3 behind a proxy, Valkey, Triton, workers, API."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from jobs.live import LiveJobs, connect
from jobs.queue import BLOCKS, INTERACTIVE, JOBS, QUEUES, JobQueue, enqueue, make_app
from jobs.record import PUBLIC
from jobs.request import parse_execute
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.store import JobStore
from jobs.uploads import UploadStore
from jobs.work import ASSEMBLE, BLOCK, PLAN, Work
from models.cards import card_of
from models.serving import build_repository
from service.stack.embedded import CALM
from service.stack.process import GuardedProcess, free_port
from service.stack.triton import EmbeddedTriton
from tests.faults.rig.processes import family_of, kill_server, owner_of
from tests.faults.rig.proxy import Arrival, Proxy
from tests.faults.rig.stores import make_store
from tests.faults.rig.valkey import MortalValkey

ROOT = Path(__file__).resolve().parents[3]
BUCKET = "shared"
PROCESS = "local-climate-zones"


@dataclass(frozen=True, slots=True)
class Host:
    """A worker with one process."""

    name: str
    home: Path
    process: GuardedProcess


class Installation:
    """`with Installation(folder) as installation`. Every part lies in the folder; what works sees S3 by the proxy."""

    def __init__(
        self, folder: Path, *, hosts: int = 2, storage: str = "swift", told: Mapping[str, str] | None = None
    ) -> None:
        """Prepare one with that many hosts; `storage` is one of `STORES`, `told` are settings of everything there."""
        self.folder = folder
        self._told = dict(told or {})
        self._number = hosts
        self._prefixes: list[str] = []
        self._stack = ExitStack()
        self._made = 0
        self.hosts: list[Host] = []
        self.killed: list[psutil.Process] = []
        self.workers: set[int] = set()
        self.api: GuardedProcess | None = None
        self.s3 = make_store(storage, folder / "s3")
        self.proxy = Proxy(lambda: self.s3.endpoint)
        self.valkey = MortalValkey(folder / "valkey")
        self.triton: EmbeddedTriton | None = None
        self.url = f"http://127.0.0.1:{free_port()}"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self._stack.enter_context(self.s3)
        self.s3.create_bucket(BUCKET)
        self._stack.enter_context(self.proxy)
        self._stack.callback(self.valkey.stop)
        self.valkey.start()
        served = build_repository(self.folder / "models", [card_of("magnet")])
        triton = EmbeddedTriton(self.folder / "models", models=served, logs=self.folder, supervise_every=2.0)
        self.triton = self._stack.enter_context(triton)
        self._prefixes.append(triton._prefix)
        self.beat = self._launch("beat", [*_celery("beat"), "-s", str(self.folder / "beat-schedule"), "-l", "WARNING"])
        for _ in range(self._number):
            self.add_host()
        self.wait_for_hosts()

    def stop(self) -> None:
        """End all of it."""
        self._stack.close()

    @property
    def variables(self) -> dict[str, str]:
        """The settings of everything that works here, as environment variables."""
        assert self.triton is not None
        return self.s3.settings | {
            "CITYZONES_S3_ENDPOINT": self.proxy.url,
            "CITYZONES_STORAGE_URL": f"s3://{BUCKET}",
            "CITYZONES_BROKER_URL": self.valkey.url(0),
            "CITYZONES_LIVE_URL": self.valkey.url(1),
            "CITYZONES_TRITON_URL": self.triton.grpc_url,
            "CITYZONES_BLOCK_PIXELS": "240",
            "CITYZONES_LINK_SECRET": "a secret of the tests",
            "CITYZONES_PUBLIC_URL": self.url,
            "CITYZONES_AUTH": "open",
            "CITYZONES_REQUESTS_PER_MINUTE": "0",
            "CITYZONES_RUNNING_JOBS": "0",
            **self._told,
        }

    @property
    def settings(self) -> Settings:
        """The settings this process has: it sees S3 itself, so that no fault of the proxy's hits it."""
        return Settings.of_environment(self.variables | {"CITYZONES_S3_ENDPOINT": self.s3.endpoint})

    @property
    def store(self) -> JobStore:
        """The jobs, by connections made now."""
        settings = self.settings
        return JobStore(Storage(settings), LiveJobs(connect(settings.live_url)))

    @property
    def uploads(self) -> UploadStore:
        """The uploads."""
        return UploadStore(Storage(self.settings))

    def create(self, inputs: Mapping[str, Any]) -> str:
        """Write a job's request, as the service does first."""
        return self.store.create(PROCESS, parse_execute({"inputs": dict(inputs)})).job

    @property
    def queue(self) -> JobQueue:
        """The queue, by connections made now."""
        return JobQueue.of_settings(self.settings)

    def hand_in(self, *jobs: str) -> None:
        """Put jobs into the queue, as the service does then."""
        self.queue.send(*(_planning(job) for job in jobs))

    def repeat_planning(self, *jobs: str) -> None:
        """Publish the messages of jobs once more: as they are now, and as programs before the pool sent them."""
        queue = self.queue
        queue.send_tickets(JOBS, [_planning(job) for job in jobs])
        for job in jobs:
            enqueue(queue.app, PLAN, job)

    def repeat_blocks(self, job: str, blocks: Iterable[str]) -> None:
        """Publish the messages of a job's blocks, and of its end, once more."""
        queue = self.queue
        pieces = [Work(task=BLOCK, job=job, block=block, tenant=PUBLIC) for block in blocks]
        queue.send_tickets(BLOCKS, pieces)
        for block in blocks:
            enqueue(queue.app, BLOCK, job, block)
        enqueue(queue.app, ASSEMBLE, job)

    def add_host(self, environment: Mapping[str, str] | None = None) -> Host:
        """Start one more worker; `environment` is for it alone, not for the guard that starts it."""
        self._made += 1
        name = f"host-{self._made}"
        home = self.folder / name
        home.mkdir()
        own = {"CITYZONES_SCRATCH": str(home / "scratch"), "TMPDIR": str(home)}
        told = ["env", *(f"{key}={value}" for key, value in (environment or {}).items())]
        command = [*told, *_celery("worker"), "-Q", ",".join((*QUEUES, INTERACTIVE)), "-c", "1", "-n", f"worker@{name}"]
        process = self._launch(name, [*command, "-l", "WARNING", "--without-mingle"], own)
        host = Host(name, home, process)
        self.hosts.append(host)
        return host

    def wait_for_hosts(self, seconds: float = 60.0) -> None:
        """Wait until every host answers."""
        app, limit = make_app(self.settings), time.monotonic() + seconds
        while not self._all_answer(app):
            if time.monotonic() > limit:
                raise TimeoutError([host.process.tail() for host in self.hosts])

    def _all_answer(self, app: Celery) -> bool:
        try:
            return len(app.control.ping(timeout=0.5)) >= len(self.hosts)
        except (RedisError, OperationalError):  # a connection kept from before Valkey was killed
            return False

    def look_who_works(self) -> None:
        """Note the ids of the processes that the hosts have now in `workers`, where those of the past stay."""
        self.workers.update(member.pid for host in list(self.hosts) for member in family_of(host.process))

    def kill_host(self, host: Host) -> None:
        """Kill a worker, main process and all, and start another in its place."""
        self.hosts.remove(host)
        self.killed += family_of(host.process)
        kill_server(host.process)
        self.add_host()

    def drain_host(self, host: Host) -> None:
        """End a worker as a rolling restart does: by SIGTERM, after another has started."""
        self.add_host()
        self.wait_for_hosts()
        self.hosts.remove(host)
        host.process.stop()

    def host_of(self, arrival: Arrival) -> tuple[Host, int]:
        """Return the host that sent a request to S3, and the process of it that did."""
        for host in self.hosts:
            try:
                return host, owner_of(arrival.port, family_of(host.process)).pid
            except LookupError:
                continue
        msg = f"no host holds port {arrival.port}"
        raise LookupError(msg)

    @property
    def former_prefixes(self) -> list[str]:
        """What the names of the shared memory began with that model servers had which are no more."""
        assert self.triton is not None
        if self.triton._prefix not in self._prefixes:
            self._prefixes.append(self.triton._prefix)
        return self._prefixes[:-1]

    def start_api(self) -> None:
        """Start the service and wait until it answers."""
        port = self.url.rpartition(":")[2]
        command = [sys.executable, "-m", "bentoml", "serve", "service.service:Cityzones", "--host", "127.0.0.1"]
        own = {"CITYZONES_SCRATCH": str(self.folder / "api"), "CITYZONES_REQUESTS_PER_MINUTE": "0"}
        self.api = self._launch("api", [*command, "--port", port], own)
        self.api.wait_until(self._api_answers, timeout=90.0)

    def kill_api(self) -> None:
        """Kill the service with all its processes."""
        assert self.api is not None
        self.killed += family_of(self.api)
        kill_server(self.api)

    def stop_api(self) -> None:
        """End the service in order."""
        assert self.api is not None
        self.api.stop()

    def _api_answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def _launch(self, name: str, command: list[str], own: Mapping[str, str] | None = None) -> GuardedProcess:
        environment = dict(os.environ) | CALM | self.variables | {"PYTHONPATH": str(ROOT)} | dict(own or {})
        log = self.folder / "logs" / f"{name}.log"
        process = GuardedProcess(name, command, log=log, environment=environment, grace=60.0)
        self._stack.callback(process.stop)
        return process


def _planning(job: str) -> Work:
    return Work(task=PLAN, job=job, tenant=PUBLIC)


def _celery(command: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "worker.tasks", command]
