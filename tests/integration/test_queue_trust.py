"""What whoever can write into the queue can do to a worker: nothing is run but our tasks, and nothing circles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu.exceptions import ContentDisallowed

from jobs.errors import QueueUnavailable, StorageUnavailable
from jobs.queue import make_app
from jobs.settings import Settings
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import new_job, settings_in, store_of
from worker.context import Context
from worker.pipeline.steps import ATTEMPTS, step


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    with EmbeddedValkey() as valkey:
        yield settings_in(tmp_path, broker_url=valkey.broker_url(0), live_url=valkey.url(1))


class _Harm:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize(("serializer", "harmful"), [("pickle", True), ("yaml", False), ("json", False)])
def test_messages_are_json_or_not_read(settings: Settings, tmp_path: Path, serializer: str, harmful: bool) -> None:
    app, seen = make_app(settings), []
    queue = app.amqp.queues["jobs"]
    body = ([_Harm(tmp_path / "harm") if harmful else "job_x"], {}, {})
    with app.connection_for_write() as connection:
        producer = connection.Producer(serializer=serializer)
        where = {"exchange": queue.exchange, "routing_key": queue.routing_key, "declare": [queue]}
        producer.publish(body, headers={"task": "cityzones.plan_job", "id": "1"}, **where)

    def take(message: Any) -> None:
        try:
            seen.append(message.decode())
        except ContentDisallowed as error:
            seen.append(error)

    with app.connection_for_read() as connection:
        consumer = app.amqp.TaskConsumer(connection.channel(), queues=[queue], on_message=take)
        with consumer:  # as a Celery worker makes it, which takes what `accept_content` names
            connection.drain_events(timeout=10)
    assert not (tmp_path / "harm").exists()
    if serializer == "json":
        assert seen == [[["job_x"], {}, {}]]
    else:
        assert [type(each) for each in seen] == [ContentDisallowed]


def test_a_step_that_takes_its_workers_down_fails_its_job_and_circles_no_more(settings: Settings) -> None:
    store = store_of(settings)
    context, job = Context(settings, make_app(settings)), new_job(store)
    for _ in range(ATTEMPTS):
        died = step(context, job, "r0000c0000")
        assert died.__enter__().wanted  # and no exit: the worker is killed
    with step(context, job, "r0000c0000") as attempt:
        assert not attempt.wanted
    record = store.read(job)
    assert record.state == "failed"
    assert record.failure is not None
    assert record.failure.code == "worker-lost"
    with step(context, job, "r0000c0000") as attempt:
        assert not attempt.wanted


@pytest.mark.parametrize("away", [StorageUnavailable, QueueUnavailable])
def test_an_outage_is_not_held_against_a_job_however_often_it_is_met(settings: Settings, away: type[Exception]) -> None:
    store = store_of(settings)
    context, job = Context(settings, make_app(settings)), new_job(store)
    for _ in range(3 * ATTEMPTS):
        met = step(context, job, "r0000c0000")
        assert met.__enter__().wanted
        error = away("it does not answer")
        assert not met.__exit__(away, error, None), "it is raised on"
    assert store.read(job).state != "failed"


def test_a_log_that_could_not_be_kept_when_its_job_ended_is_kept_when_its_ticket_comes_back(settings: Settings) -> None:
    store, away = store_of(settings), store_of(settings.model_copy(update={"live_url": "redis://127.0.0.1:1/1"}))
    context, job = Context(settings, make_app(settings)), new_job(store)
    store.logs.write(job, "plan", "one of its lines")
    away.fail(job, StorageUnavailable("it does not answer"))
    kept = f"jobs/{job}/log.jsonl"
    assert store.storage.get(kept) is None
    with step(context, job, "assemble") as attempt:
        assert not attempt.wanted
    assert b"one of its lines" in (store.storage.get(kept) or b"")
