"""Launches and supervises an embedded Triton server on a model repository, with no container and no GPU."""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from service.stack.process import GuardedProcess, StackFailed, free_port
from service.stack.triton_control import KEY_HEADER, RESTRICTED, ModelFailed, TritonControl
from service.stack.triton_environment import TritonEnvironment, find_environment

LOG: Final = logging.getLogger(__name__)
START_TIMEOUT: Final = 60.0
PORT_ATTEMPTS: Final = 3
RESTARTS: Final = 5
"""Restarts of the server within RESTART_WINDOW seconds after which supervision gives up."""
RESTART_WINDOW: Final = 600.0
PROBE_EVERY: Final = 6
"""Rounds of supervision between two real inferences; the others only look at the processes."""
_NOT_STARTED: Final = "the embedded Triton has not been started; use it in a with statement"
ANSWER_SECONDS: Final = 120
"""What an answer may take before a connection that is to be renewed is cut; as long as CITYZONES_TRITON_TIMEOUT."""
_STUB: Final = "triton_python_backend_stub"


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server listens: the address, and the ports of HTTP, gRPC and metrics.

    After `renew_seconds` clients connect anew, once what they have asked is answered: where several servers stand
    behind one address, they would else stay with the one they met first. None: never.
    """

    address: str
    http: int
    grpc: int
    metrics: int
    renew_seconds: int | None = None


class EmbeddedTriton:
    """A Triton server of this process: `with EmbeddedTriton(repository, logs=folder) as triton: triton.grpc_url`.

    It is ready when every model has answered a real inference. A thread looks after it: a server that ended is
    started again on the same ports, a model whose process died or hangs is unloaded and loaded (the server itself
    would call it ready for ever). When this process ends, however it does, nothing of the server stays.
    """

    def __init__(
        self,
        repository: Path,
        *,
        logs: Path | None = None,
        models: Sequence[str] | None = None,
        environment: Path | None = None,
        threads: int | None = None,
        supervise_every: float = 5.0,
        listening: Listening | None = None,
        aloud: bool = False,
    ) -> None:
        """Prepare a server of the models named (default: all of the repository).

        `logs` is the folder of triton.log (default: a temporary one); `environment` overrides CITYZONES_TRITON_ENV;
        `threads` are those of one model instance (default: the cores); `supervise_every` 0 turns supervision off;
        `listening` takes the place of loopback and free ports; `aloud` joins the server's log to this process's output.
        """
        self.repository = repository.resolve()
        self.models = list(models or [])
        self._logs = logs
        self._environment = environment
        self._threads = threads
        self._every = supervise_every
        self._key = secrets.token_urlsafe(24)
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._restarts: list[float] = []
        self._fixed = listening is not None
        self._listening = listening or Listening("127.0.0.1", 0, 0, 0)
        self._aloud = aloud
        self._prefix = ""
        self._process: GuardedProcess | None = None
        self._control: TritonControl | None = None
        self._watcher: threading.Thread | None = None

    @property
    def grpc_url(self) -> str:
        """`host:port` of gRPC, as Triton's clients want it."""
        return f"127.0.0.1:{self._listening.grpc}"

    @property
    def http_url(self) -> str:
        """`http://host:port` of the HTTP protocol."""
        return f"http://127.0.0.1:{self._listening.http}"

    @property
    def metrics_url(self) -> str:
        """Where the server's Prometheus metrics are."""
        return f"http://127.0.0.1:{self._listening.metrics}/metrics"

    @property
    def log(self) -> Path:
        """The server's log; raises StackFailed before start, and where the server has none of its own."""
        if self._process is None or self._process.log is None:
            raise StackFailed(_NOT_STARTED)
        return self._process.log

    @property
    def control(self) -> TritonControl:
        """The client for load, unload and probe; raises StackFailed before start."""
        if self._control is None:
            raise StackFailed(_NOT_STARTED)
        return self._control

    @property
    def given_up(self) -> bool:
        """Whether supervision has ended by itself, having started the server again too often."""
        return self._watcher is not None and not self._watcher.is_alive() and not self._ended.is_set()

    @property
    def server_pid(self) -> int | None:
        """The server's process id, or None while it does not run."""
        children = _children(self._process.guard_pid, deep=False) if self._process else []
        return children[0].pid if children else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, load the models and wait for a real answer of each; raises StackFailed."""
        environment = find_environment(self._environment)
        try:
            self._launch_where_told(environment)
            self.models = self.models or self.control.names()
            for model in self.models:
                self.reload(model)
        except BaseException:
            self.stop()
            raise
        if self._every > 0:
            self._watcher = threading.Thread(target=self._watch, name="triton-supervisor", daemon=True)
            self._watcher.start()

    def stop(self) -> None:
        """End the server, its stubs and its shared memory; harmless when called twice."""
        self._ended.set()
        if self._watcher and self._watcher is not threading.current_thread():
            self._watcher.join()
        with self._lock:
            # First the connections: the server would wait for them.
            if self._control:
                self._control.close()
            if self._process:
                self._process.stop()

    def stubs(self, model: str) -> list[int]:
        """Return the process ids of a model's instances (a zombie does not count)."""
        folder = f"{self.repository / model}{os.sep}"
        found = _children(self._process.guard_pid, deep=True) if self._process else []
        return [child.pid for child in found if _runs_model(child, folder)]

    def reload(self, model: str) -> None:
        """Load a model, or bring a dead one back, and wait for a real answer; raises ModelFailed."""
        with self._lock:
            if self.control.ready(model):
                self.control.unload(model)
                limit = time.monotonic() + START_TIMEOUT
                while self.control.ready(model) and time.monotonic() < limit:
                    time.sleep(0.02)
            self.control.load(model)
            self.control.probe(model)

    def heal(self, *, probe: bool = True) -> list[str]:
        """Bring back what has died and return what was done, in words; with `probe` every model must infer."""
        with self._lock:
            if self._process is None or self._ended.is_set():
                return []
            if not self._process.alive or not self.control.live():
                self._restart()
                return ["server restarted"]
            dead = [model for model in self.models if not self._answers(model, probe=probe)]
            for model in dead:
                self.reload(model)
            return [f"model {model} loaded again" for model in dead]

    def _answers(self, model: str, *, probe: bool) -> bool:
        if not self.stubs(model):
            return False
        with suppress(ModelFailed):
            if probe:
                self.control.probe(model)
            return True
        return False

    def _watch(self) -> None:
        rounds = 0
        while not self._ended.wait(self._every):
            rounds += 1
            try:
                done = self.heal(probe=rounds % PROBE_EVERY == 0)
            except StackFailed as error:
                LOG.error("triton: %s", error.detail)  # noqa: TRY400 - the detail says it all
                if len(self._restarts) >= RESTARTS:
                    return
            else:
                for what in done:
                    LOG.warning("triton: %s", what)

    def _restart(self) -> None:
        now = time.monotonic()
        self._restarts = [at for at in self._restarts if now - at < RESTART_WINDOW]
        if len(self._restarts) >= RESTARTS:
            msg = f"the embedded Triton ended {RESTARTS} times in {RESTART_WINDOW:.0f} s; it is not started again"
            raise StackFailed(msg)
        self._restarts.append(now)
        if self._process:
            self._process.stop()
        self._launch(find_environment(self._environment))
        for model in self.models:
            self.reload(model)

    def _launch_where_told(self, environment: TritonEnvironment) -> None:
        if self._fixed:
            self._launch(environment)
            return
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self._listening = Listening("127.0.0.1", free_port(), free_port(), free_port())
            try:
                self._launch(environment)
            except StackFailed as error:
                if attempt == PORT_ATTEMPTS or "already in use" not in error.detail:
                    raise
            else:
                return

    def _launch(self, environment: TritonEnvironment) -> None:
        if self._control:
            self._control.close()
        self._control = TritonControl(self.http_url, self._key)
        # Of its own, so that the guard removes this server's shared memory and no other's.
        self._prefix = f"cityzones-{secrets.token_hex(4)}-"
        runtime = Path(tempfile.mkdtemp(prefix=self._prefix))
        self._process = GuardedProcess(
            "Triton",
            self._command(environment, environment.link_backends(runtime / "backends")),
            log=None if self._aloud else (self._logs or runtime) / "triton.log",
            environment=environment.variables(threads=self._threads),
            shm_prefix=self._prefix,
            folder=runtime,
        )
        self._process.wait_until(self._control.live, timeout=START_TIMEOUT)

    def _command(self, environment: TritonEnvironment, backends: Path) -> list[str]:
        told = self._listening
        return [
            str(environment.server),
            f"--model-repository={self.repository}",
            f"--backend-directory={backends}",
            f"--backend-config=python,shm-region-prefix-name={self._prefix}",
            # One model that fails to load must not end the server; and only this mode can bring a dead one back.
            "--model-control-mode=explicit",
            "--disable-auto-complete-config",
            # The overlay of this server, whichever was made the default of the repository.
            "--model-config-name=cpu",
            *(f"--http-address={told.address}", f"--http-port={told.http}"),
            *(f"--grpc-address={told.address}", f"--grpc-port={told.grpc}"),
            *(f"--metrics-address={told.address}", f"--metrics-port={told.metrics}", "--allow-gpu-metrics=false"),
            f"--http-restricted-api={RESTRICTED}:{KEY_HEADER}={self._key}",
            f"--grpc-restricted-protocol={RESTRICTED}:{KEY_HEADER}={self._key}",
            "--exit-timeout-secs=3",
            *_renewals(told.renew_seconds),
        ]


def _renewals(seconds: int | None) -> list[str]:
    if seconds is None:
        return []
    return [f"--grpc-max-connection-age={seconds * 1000}", f"--grpc-max-connection-age-grace={ANSWER_SECONDS * 1000}"]


def _children(pid: int, *, deep: bool) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=deep)
        return found
    return []


def _runs_model(process: psutil.Process, folder: str) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        words = process.cmdline()
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and _STUB in " ".join(words[:1]) and any(word.startswith(folder) for word in words)
    return False
