"""Faults: a flushed Redis, killed workers, a killed model server, and a killed stack lose no job and leave nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
import redis

from service.client import Client
from tests.journeys import PROCESS, stac_inputs

CITYZONES = str(Path(sys.executable).with_name("cityzones"))


def submit(client: Client, sample: Path) -> str:
    return client.submit(PROCESS, {"inputs": stac_inputs(sample) | {"outputs": ["map"]}})["jobID"]


def wait(client: Client, job: str, *, seconds: float = 90) -> dict:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        status = client.status(job)
        if status["status"] in {"successful", "failed", "dismissed"}:
            return status
        time.sleep(0.3)
    return client.status(job)


def recover(stack) -> subprocess.CompletedProcess:
    command = [CITYZONES, "recover", "--all"]
    return subprocess.run(command, env=stack.environment, capture_output=True, text=True, timeout=60, check=False)


def test_flushed_redis_loses_no_job(stack, client, sample):
    job = submit(client, sample)
    server = redis.Redis.from_url(stack.settings.live_url)
    server.flushall()
    assert client.status(job)["status"] in {"accepted", "running"}
    done = recover(stack)
    assert done.returncode == 0, done.stderr
    assert wait(client, job)["status"] == "successful"


def test_killed_worker_processes_lose_no_job(stack, client, sample):
    job = submit(client, sample)
    main = psutil.Process(stack.worker.guard_pid).children()[0]
    time.sleep(1.0)
    for child in main.children():
        if child.is_running():
            os.kill(child.pid, signal.SIGKILL)
    assert wait(client, job)["status"] == "successful"


@pytest.mark.scale  # the server comes back in half a minute
def test_killed_model_server_is_started_again_and_no_job_fails(stack, client, sample):
    """Jobs come while the server is away, while it starts without a model, and while it loads them."""
    os.kill(stack.triton.server_pid, signal.SIGKILL)
    jobs = []
    for _ in range(6):
        jobs.append(submit(client, sample))
        time.sleep(1.2)
    assert [wait(client, job, seconds=120)["status"] for job in jobs] == ["successful"] * 6


@pytest.mark.scale  # a stack each: half a minute
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_stack_ends_with_its_command_and_leaves_no_process(tmp_path, number):
    command = [CITYZONES, "up", "--folder", str(tmp_path / "stack")]
    # As a shell starts background jobs: with SIGINT ignored.
    quiet = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    up = subprocess.Popen(quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    url = up.stdout.readline().strip()
    assert httpx.get(f"{url}/readyz", timeout=10).is_success
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (second.returncode, "already" in second.stderr) == (1, True)
    family = psutil.Process(up.pid).children(recursive=True)
    assert len(family) >= 8
    up.send_signal(number)
    assert up.wait(40) == {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}[number]
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
