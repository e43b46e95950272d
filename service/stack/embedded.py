"""The whole service on one machine: Valkey, Triton, a Celery worker and the BentoML service, as one."""

from __future__ import annotations

import fcntl
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx
from celery import Celery
from rich.console import Console

from jobs.queue import INTERACTIVE, QUEUES, make_app
from jobs.settings import Settings
from models.cards import cards
from models.promptable import add_promptable
from models.serving import build_repository
from service.stack.process import GuardedProcess, StackFailed, free_port
from service.stack.triton import EmbeddedTriton
from service.stack.valkey import EmbeddedValkey

START_TIMEOUT: Final = 90.0
# Blocks run side by side: within one, more threads would only get in each other's way.
CALM: Final = {
    "BENTOML_DO_NOT_TRACK": "True",
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}


class EmbeddedStack:
    """`with EmbeddedStack(folder) as stack: stack.url`. Everything it keeps lies in the folder, logs in its logs/.

    Settings told by environment variables win over those it would choose, so that the same stack runs on a real
    object store. When this process ends, however it does, its servers end too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        workers: int | None = None,
        overrides: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a stack; `workers` are Celery processes (default: the cores, at most 4), `overrides` environment.

        One process more takes the jobs of one block.
        """
        self.folder = folder.resolve()
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._workers = workers or min(os.cpu_count() or 1, 4)
        self._overrides = dict(overrides or {})
        self._stack = ExitStack()
        self.valkey: EmbeddedValkey | None = None
        self.triton: EmbeddedTriton | None = None
        self.worker: GuardedProcess | None = None
        self.interactive: GuardedProcess | None = None
        self.service: GuardedProcess | None = None
        self.environment: dict[str, str] = {}

    @property
    def settings(self) -> Settings:
        """The settings the service and the worker run with."""
        return Settings.of_environment(self.environment)

    @property
    def logs(self) -> Path:
        """Where every server's log lies."""
        return self.folder / "logs"

    def __enter__(self) -> Self:
        if self.service is not None:
            msg = "this stack has been started before; make another one"
            raise StackFailed(msg)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End the servers, the service first; harmless when called twice."""
        self._stack.close()

    def failed(self) -> str | None:
        """Return what has ended by itself, with the end of its log, or None while all is well."""
        queue = self.valkey.process if self.valkey else None
        for process in (queue, self.worker, self.interactive, self.service):
            if process and not process.alive:
                return process.failure("ended by itself").detail
        return None

    def _start(self) -> None:
        self._stack.enter_context(_alone_in(self.folder))
        self.valkey = self._stack.enter_context(EmbeddedValkey(data=self.folder / "valkey", logs=self.logs))
        repository = self.folder / "models"
        served = build_repository(repository, cards().values(), cache=self._told("CITYZONES_WEIGHTS_CACHE"))
        if promptable := self._told("CITYZONES_ANNOTATION_MODELS"):
            served += add_promptable(repository, promptable)
        self.triton = self._stack.enter_context(EmbeddedTriton(repository, models=served, logs=self.logs))
        self.environment = self._environment(self.valkey.broker_url(0), self.valkey.url(1), self.triton.grpc_url)
        self.worker = self._launch("worker", self._worker_command(), grace=20.0)
        self.interactive = self._launch("interactive", self._interactive_command(), grace=20.0, port=1)
        self.service = self._launch("service", self._service_command(), grace=10.0)
        self.service.wait_until(self._answers, timeout=START_TIMEOUT)
        self.worker.wait_until(self._worker_answers, timeout=START_TIMEOUT)

    def _told(self, name: str) -> Path | None:
        told = self._overrides.get(name)
        return Path(told) if told else None

    def _environment(self, broker: str, live: str, triton: str) -> dict[str, str]:
        chosen = {
            "CITYZONES_STORAGE_URL": f"file://{self.folder / 'store'}",
            "CITYZONES_SCRATCH": str(self.folder / "scratch"),
            "CITYZONES_PUBLIC_URL": self.url,
            "CITYZONES_LINK_SECRET": _secret(self.folder / "link-secret"),
            "CITYZONES_CALLBACK_SECRET": _secret(self.folder / "callback-secret"),
            # It listens on loopback for one person, whom no quota protects from anybody.
            "CITYZONES_AUTH": "open",
            "CITYZONES_REQUESTS_PER_MINUTE": "0",
            "CITYZONES_RUNNING_JOBS": "0",
        }
        fixed = {"CITYZONES_BROKER_URL": broker, "CITYZONES_LIVE_URL": live, "CITYZONES_TRITON_URL": triton}
        return chosen | dict(os.environ) | fixed | CALM | self._overrides

    def _launch(self, name: str, command: list[str], *, grace: float, port: int = 0) -> GuardedProcess:
        """Start a server; `port` is added to the port of its probes, where it is to have one."""
        first = self.settings.worker_port
        environment = self.environment | {"CITYZONES_WORKER_PORT": str(first + port if first else 0)}
        process = GuardedProcess(name, command, log=self.logs / f"{name}.log", environment=environment, grace=grace)
        self._stack.callback(process.stop)
        return process

    def _worker_command(self) -> list[str]:
        schedule = self.folder / "beat-schedule"
        return [*_celery("embedded", QUEUES, self._workers), "--beat", "-s", str(schedule)]

    def _interactive_command(self) -> list[str]:
        return _celery("interactive", (INTERACTIVE,), 1)

    def _service_command(self) -> list[str]:
        bentoml = [sys.executable, "-m", "bentoml", "serve", "service.service:Cityzones"]
        return [*bentoml, "--host", "127.0.0.1", "--port", str(self.port)]

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5.0).is_success
        except httpx.HTTPError:
            return False

    def _worker_answers(self) -> bool:
        app: Celery = make_app(self.settings)
        return len(app.control.ping(timeout=0.5)) == 2  # noqa: PLR2004 - the worker and the interactive one


def _celery(name: str, queues: tuple[str, ...], processes: int) -> list[str]:
    """Return the command of one worker."""
    return [
        *(sys.executable, "-m", "celery", "-A", "worker.tasks", "worker", "-Q", ",".join(queues)),
        *("-c", str(processes), "-n", f"{name}@localhost", "-l", "WARNING", "--without-mingle", "--without-gossip"),
    ]


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder for one stack: two queues writing one file would spoil it. Raises StackFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"a stack is running in {folder} already; stop it, or choose another folder with --folder"
            raise StackFailed(msg) from error
        yield


def _secret(path: Path) -> str:
    """Return a key of the folder's own, made once, so that what it has signed holds after a restart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return path.read_text()


@contextmanager
def told(stack: EmbeddedStack, console: Console) -> Iterator[EmbeddedStack]:
    """Start a stack under a spinner that says so; it ends with the block."""
    with ExitStack() as exits:
        with console.status("starting Valkey, Triton, a worker and the service …"):
            exits.enter_context(stack)
        yield stack
