"""Dismissing a job: what runs stops within seconds, whatever it waits for, and nothing but its records stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.queue import make_app
from service.client import Client
from service.stack.embedded import EmbeddedStack
from tests.journeys import PROCESS, stac_inputs
from tests.servers.stac import StaticServer

SECONDS = 5.0
RECORDS = ["cancelled.json", "log.jsonl", "request.json"]


@pytest.fixture
def sleepy(archive: StaticServer) -> Iterator[StaticServer]:
    yield archive
    archive.slow = 0.0


def running(stack: EmbeddedStack, job: str) -> bool:
    """Whether any worker process has a step of the job in its hands; asked until both workers answer."""
    inspect = make_app(stack.settings).control.inspect(timeout=1.0)
    for _ in range(10):
        active = inspect.active() or {}
        if len(active) == 2:
            return any(job in task["args"] for tasks in active.values() for task in tasks)
    raise AssertionError(active)


def left(stack: EmbeddedStack, job: str) -> list[str]:
    folder = stack.folder / "store" / "jobs" / job
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def until(answers: Callable[[], bool], seconds: float) -> float:
    """Wait for something and return how long it took."""
    start = time.monotonic()
    while not answers():
        assert time.monotonic() - start < seconds
        time.sleep(0.1)
    return time.monotonic() - start


def submit(client: Client, sample: Path, archive: StaticServer) -> str:
    inputs = stac_inputs(sample)
    inputs["imagery"]["stac"]["catalogue"] = f"{archive.url}/catalog.json"
    return str(client.submit(PROCESS, {"inputs": inputs})["jobID"])


def dismiss_and_check(client: Client, stack: EmbeddedStack, job: str) -> None:
    until(lambda: running(stack, job), 20)
    assert client.dismiss(job)["status"] == "dismissed"
    assert until(lambda: not running(stack, job), SECONDS) < SECONDS
    time.sleep(1)
    assert left(stack, job) == RECORDS
    assert client.status(job)["status"] == "dismissed"


def test_a_job_that_waits_for_scenes_stops(
    client: Client, stack: EmbeddedStack, sample: Path, sleepy: StaticServer
) -> None:
    sleepy.slow = 20.0
    job = submit(client, sample, sleepy)
    until(lambda: any(".tif" in path for path in sleepy.asked), 20)
    dismiss_and_check(client, stack, job)


def test_blocks_that_wait_for_imagery_stop(
    client: Client, stack: EmbeddedStack, sample: Path, sleepy: StaticServer
) -> None:
    job = submit(client, sample, sleepy)
    until(lambda: client.status(job)["blocks"]["total"] > 0, 20)
    sleepy.slow = 20.0
    dismiss_and_check(client, stack, job)


def test_a_job_dismissed_at_once_never_starts(client: Client, stack: EmbeddedStack, sample: Path) -> None:
    job = client.submit(PROCESS, {"inputs": stac_inputs(sample)})["jobID"]
    assert client.dismiss(job)["status"] == "dismissed"
    until(lambda: not running(stack, job), SECONDS)
    time.sleep(2)
    assert left(stack, job) == RECORDS
    assert "dismissed" in client.status(job)["message"]
