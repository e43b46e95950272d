"""The embedded Valkey, for real: redis-py and Celery reach it, data survive, nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis
from celery import Celery

from service.stack.embedded import EmbeddedStack
from service.stack.process import StackFailed
from service.stack.valkey import EmbeddedValkey

ROOT = Path(__file__).resolve().parents[2]


def test_redis_and_celery_reach_their_databases() -> None:
    with EmbeddedValkey() as valkey, redis.Redis.from_url(valkey.url(1)) as client:
        assert client.set("job", "1")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        app = Celery(broker=valkey.broker_url(2))
        app.send_task("map", task_id="a", queue="blocks")
        with redis.Redis.from_url(valkey.url(2)) as queue:
            assert queue.llen("blocks") == 1


def test_an_append_only_file_survives(tmp_path: Path) -> None:
    for expected in (None, b"kept"):
        with EmbeddedValkey(data=tmp_path / "data") as valkey, redis.Redis.from_url(valkey.url()) as client:
            assert client.get("key") == expected
            client.set("key", "kept")


def test_a_stop_removes_socket_and_folder() -> None:
    valkey = EmbeddedValkey()
    valkey.start()
    folder = valkey.socket.parent
    assert valkey.alive
    assert folder.stat().st_mode & 0o077 == 0
    valkey.stop()
    valkey.stop()
    assert not valkey.alive
    assert not folder.exists()


def test_a_killed_launcher_leaves_nothing() -> None:
    script = (
        "import time\nfrom service.stack.valkey import EmbeddedValkey\nv = EmbeddedValkey()\nv.start()\n"
        "print(v.socket.parent, v.process.guard_pid, flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT) as launcher:
        assert launcher.stdout is not None
        folder, guard = launcher.stdout.readline().split()
        servers = psutil.Process(int(guard)).children()
        assert len(servers) == 1
        os.kill(launcher.pid, signal.SIGKILL)
    limit = time.monotonic() + 10
    while time.monotonic() < limit and (Path(folder).exists() or servers[0].is_running()):
        time.sleep(0.05)
    assert not servers[0].is_running()
    assert not Path(folder).exists()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    data = tmp_path / "data" / "appendonlydir"
    data.mkdir(parents=True)
    (data / "appendonly.aof.manifest").write_text("not a manifest\n")
    with pytest.raises(StackFailed, match="ended while starting"):
        EmbeddedValkey(data=tmp_path / "data").start()


@pytest.mark.scale
def test_a_stack_tells_that_its_valkey_has_ended(tmp_path: Path) -> None:
    with EmbeddedStack(tmp_path, workers=1) as stack:
        assert stack.failed() is None
        assert stack.valkey is not None
        assert stack.valkey.process is not None
        for server in psutil.Process(stack.valkey.process.guard_pid).children():
            server.kill()
        limit = time.monotonic() + 10
        while stack.valkey.alive and time.monotonic() < limit:
            time.sleep(0.05)
        assert "Valkey ended by itself" in str(stack.failed())
