"""A real worker takes its turns: messages of any age, pieces without tickets, pieces of a worker that died."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery.result import AsyncResult

from jobs.ids import new_id
from jobs.live import LiveJobs, connect
from jobs.queue import INTERACTIVE, JOBS, QUEUES, JobQueue
from jobs.record import FailureRecord
from jobs.request import parse_execute
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.store import JobStore
from jobs.work import HEADER, PLAN, VERSION, Work
from service.stack.embedded import CALM
from service.stack.process import GuardedProcess
from service.stack.valkey import EmbeddedValkey

LCZ = "local-climate-zones"


class Desk:
    """Jobs of one installation, and a worker that runs beside them without a model server."""

    def __init__(self, environment: dict[str, str], broker: str) -> None:
        self.environment = environment
        self.broker = broker
        self.settings = Settings.of_environment(environment)
        self.queue = JobQueue.of_settings(self.settings)
        self.store = JobStore(Storage(self.settings), LiveJobs(connect(self.settings.live_url)))

    def job(self, tenant: str = "public") -> str:
        """A job whose planning ends it with a sentence: there is no such upload."""
        inputs = {
            "aoi": {"bbox": [13.3, 52.4, 13.4, 52.5]},
            "imagery": {"uploads": [new_id("upl")]},
        }
        return self.store.create(LCZ, parse_execute({"inputs": inputs}), tenant=tenant).job

    def ended(self, job: str, seconds: float = 20) -> FailureRecord | None:
        limit = time.monotonic() + seconds
        while (failure := self.store.failure(job)) is None and time.monotonic() < limit:
            time.sleep(0.05)
        return failure

    def plan(self, job: str) -> Work:
        return Work(task=PLAN, job=job, tenant="public")

    def message(self, job: str, headers: dict | None = None) -> AsyncResult:
        return self.queue.app.send_task(PLAN, args=[job], queue=JOBS, headers=headers)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("turns")
    with EmbeddedValkey() as valkey:
        told = {
            "CITYZONES_STORAGE_URL": f"file://{folder / 'store'}",
            "CITYZONES_SCRATCH": str(folder / "scratch"),
            "CITYZONES_BROKER_URL": valkey.broker_url(0),
            "CITYZONES_LIVE_URL": valkey.url(1),
        }
        desk = Desk(dict(os.environ) | CALM | told, valkey.url(0))
        worker = start(desk, folder)
        try:
            yield desk
        finally:
            worker.stop()


def start(desk: Desk, folder: Path) -> GuardedProcess:
    command = [
        *(sys.executable, "-m", "celery", "-A", "worker.tasks", "worker", "-Q", ",".join((*QUEUES, INTERACTIVE))),
        *("-c", "1", "-n", "turns@localhost", "-l", "WARNING", "--without-mingle"),
    ]
    worker = GuardedProcess("worker", command, log=folder / "worker.log", environment=desk.environment, grace=10.0)
    worker.wait_until(lambda: bool(desk.queue.app.control.ping(timeout=0.5)), timeout=60)
    return worker


def test_a_piece_is_done_for_its_ticket(desk: Desk) -> None:
    job = desk.job()
    desk.queue.send(desk.plan(job))
    failure = desk.ended(job)
    assert failure is not None
    assert failure.code == "unknown-upload"
    assert desk.queue.pool.jobs(JOBS) == set()


def test_a_message_from_before_the_pool_is_understood(desk: Desk) -> None:
    first, second = desk.job("acme"), desk.job("acme")
    desk.message(first)
    desk.message(second)
    assert desk.ended(first)
    assert desk.ended(second)


def test_a_message_that_says_more_than_is_known_is_understood(desk: Desk) -> None:
    job = desk.job()
    desk.message(job, headers={HEADER: {"version": VERSION, "tenant": "public", "colour": "green"}, "another": 1})
    assert desk.ended(job)


def test_a_message_of_a_newer_form_waits_for_a_worker_that_knows_it(desk: Desk) -> None:
    newer, job = desk.job(), desk.job()
    sent = desk.message(newer, headers={HEADER: {"version": VERSION + 1, "tenant": "public"}})
    desk.queue.send(desk.plan(job))
    assert desk.ended(job), "others go on"
    assert desk.ended(newer, 6) is None
    with redis.Redis.from_url(
        desk.settings.broker_url.replace("redis+socket", "unix").replace("virtual_host", "db")
    ) as broker:
        held = b"".join([*broker.hvals("unacked"), *broker.lrange(JOBS, 0, -1)])
    assert sent.id.encode() in held


def test_pieces_that_lost_their_tickets_get_new_ones(desk: Desk) -> None:
    jobs = [desk.job() for _ in range(3)]
    for job in jobs:
        desk.queue.pool.put(JOBS, desk.plan(job))
    assert all(desk.ended(job, 30) for job in jobs)


@pytest.mark.scale  # a lease runs out
def test_what_a_dead_worker_held_is_done_by_another(desk: Desk) -> None:
    job = desk.job()
    desk.queue.pool.put(JOBS, desk.plan(job))
    assert desk.queue.pool.take(JOBS, "its ticket", "a worker that died", desk.plan(job))
    assert desk.ended(job, 45)
