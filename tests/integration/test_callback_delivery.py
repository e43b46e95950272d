"""From a job's end to its receiver: bodies, attempts and their schedule over restarts, what the job's owner sees."""

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import redis

from jobs.callbacks.signing import secrets_of, shown
from jobs.errors import NoImagery
from jobs.ids import new_id
from jobs.public.status import status_info
from jobs.queue import CALLBACKS, make_app
from jobs.recover import recover_callbacks
from jobs.request import parse_execute
from service.stack.valkey import EmbeddedValkey
from tests.integration.api.schemas import Standard
from tests.servers.api import EXECUTE, LCZ, finish, settings_in
from tests.servers.receiver import Receiver, hangs, says
from worker.callbacks.delivery import LONGEST_WAIT, deliver, report_progress
from worker.callbacks.telling import tell_end, tell_progress
from worker.context import Context

MAP = {"map": ("map.tif", "image/tiff", b"123")}
SECRET = "a secret of the tests, long enough"


@pytest.fixture(scope="module")
def valkey():
    with EmbeddedValkey() as valkey:
        yield valkey


@pytest.fixture
def settings(valkey, tmp_path):
    redis.Redis.from_url(valkey.url(0)).flushall()
    return settings_in(
        tmp_path,
        broker_url=valkey.broker_url(0),
        live_url=valkey.url(1),
        callback_secret=SECRET,
        callback_allow_http=True,
        callback_hosts="127.0.0.1/32",
        callback_timeout=2.0,
        callback_retry_seconds="0.6,0.6,0.6",
    )


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def worker(settings, **told):
    """A worker as it is after a restart: nothing in memory."""
    settings = settings.model_copy(update=told)
    return Context(settings, make_app(settings))


def subscribed(context, receiver, *names, tenant="public"):
    uris = {name: f"{receiver.url}/{name}" for name in ("successUri", *names)}
    return context.store.create(LCZ, parse_execute(EXECUTE | {"subscriber": uris}), tenant=tenant).job


def test_a_successful_job_is_told_once_with_its_results(settings, receiver):
    context = worker(settings)
    job = subscribed(context, receiver, tenant="agency")
    deliver(context, job)
    assert (receiver.messages, context.store.read(job).callbacks) == ([], None)
    finish(context.store, job, MAP)
    assert context.store.read(job).callbacks["successful"].state == "pending"
    for _ in range(2):
        deliver(context, job)
    (message,) = receiver.messages
    body = message.verified(shown(secrets_of("agency", settings)[0]))
    assert (message.id, message.path) == (f"msg_{job}_successful", "/successUri")
    assert message.headers["link"] == f'<{settings.public_url}/jobs/{job}>; rel="monitor"'
    assert message.headers["content-type"] == "application/json"
    assert body["map"]["href"].startswith(f"{settings.public_url}/files/jobs/{job}/outputs/map.tif?")
    shown_to_owner = status_info(context.store.read(job), "http://127.0.0.1").callbacks["successful"]
    assert (shown_to_owner.state, shown_to_owner.attempts, shown_to_owner.status) == ("delivered", 1, 204)
    assert context.store.outbox.opened() == []


def test_a_failed_job_is_told_with_its_problem_where_that_is_wanted(settings, receiver):
    context = worker(settings)
    told, silent = subscribed(context, receiver, "failedUri"), subscribed(context, receiver)
    for job in (told, silent):
        context.store.fail(job, NoImagery("no imagery covers the area"))
        deliver(context, job)
    (message,) = receiver.messages
    body = message.verified(shown(secrets_of("public", settings)[0]))
    assert (message.id, message.path) == (f"msg_{told}_failed", "/failedUri")
    assert (body["jobID"], body["status"], body["problem"]["code"]) == (told, "failed", "no-imagery")
    assert context.store.read(silent).callbacks is None
    assert context.store.outbox.opened() == []


def test_a_dismissed_job_is_told_to_nobody(settings, receiver):
    context = worker(settings)
    job = subscribed(context, receiver, "failedUri", "inProgressUri")
    context.store.dismiss(job)
    report_progress(context, job, "0")
    deliver(context, job)
    assert (receiver.messages, context.store.outbox.opened()) == ([], [])
    assert context.store.read(job).callbacks is None


def test_retries_go_on_over_restarts_and_a_flushed_queue_with_one_id(settings, receiver, valkey):
    receiver.answer(says(500), says(404), says(204))
    context = worker(settings)
    job = subscribed(context, receiver)
    finish(context.store, job, MAP)
    limit = time.monotonic() + 15
    while context.store.outbox.opened():
        assert time.monotonic() < limit
        redis.Redis.from_url(valkey.url(0)).flushall()
        deliver(worker(settings), job)
        time.sleep(0.1)
    assert {message.id for message in receiver.messages} == {f"msg_{job}_successful"}
    assert len(receiver.messages) == 3
    times = [int(message.headers["webhook-timestamp"]) for message in receiver.messages]
    assert times == sorted(times)
    assert times[-1] > times[0]
    for message in receiver.messages:
        assert message.verified(shown(secrets_of("public", settings)[0]))
    context.store.sweep(job)  # as on the day its data go
    state = context.store.read(job).callbacks["successful"]
    assert (state.state, state.attempts, state.next) == ("delivered", 3, None)


def test_a_schedule_that_is_over_leaves_the_job_as_it_is(settings, receiver, caplog):
    receiver.answer(says(500))
    context = worker(settings, callback_retry_seconds=(0.01,))
    job = subscribed(context, receiver)
    finish(context.store, job, MAP)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            deliver(context, job)
            time.sleep(0.02)
    record = context.store.read(job)
    assert (record.state, record.callbacks["successful"].state) == ("successful", "given-up")
    assert (len(receiver.messages), context.store.outbox.opened()) == (2, [])
    assert "no more, after attempt 2: answered 500" in caplog.text
    assert "/successUri" not in caplog.text  # a URI may hold a receiver's secret


def test_a_receiver_that_is_gone_is_left_alone(settings, receiver):
    receiver.answer(says(410))
    context = worker(settings)
    job = subscribed(context, receiver)
    finish(context.store, job, MAP)
    deliver(context, job)
    state = context.store.read(job).callbacks["successful"]
    assert (state.state, state.attempts, state.status) == ("given-up", 1, 410)


@pytest.mark.parametrize(("asked", "seconds"), [("100", 100), ("99999999", LONGEST_WAIT), ("0", 0.6)])
def test_a_receiver_may_ask_for_patience(settings, receiver, asked, seconds):
    receiver.answer(says(503, Retry_After=asked))
    context = worker(settings)
    job = subscribed(context, receiver)
    finish(context.store, job, MAP)
    deliver(context, job)
    state = context.store.read(job).callbacks["successful"]
    assert state.next - state.updated == pytest.approx(timedelta(seconds=seconds), abs=timedelta(seconds=1))
    assert state.updated - datetime.now(UTC) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        ({"callback_hosts": ()}, "not sent: the host does not lead"),
        ({"callback_allow_http": False}, "not sent: callbacks go to https only"),
        ({"callback_secret": None}, "not sent: this service has no secret"),
    ],
)
def test_what_was_allowed_once_is_checked_again_when_it_is_sent(settings, receiver, told, detail):
    context = worker(settings, **told)
    job = subscribed(context, receiver)
    finish(context.store, job, MAP)
    deliver(context, job)
    state = context.store.read(job).callbacks["successful"]
    assert (state.state, state.status, receiver.messages) == ("pending", None, [])
    assert state.detail.startswith(detail)


def test_of_workers_that_deliver_at_once_one_does(settings, receiver):
    receiver.answer(hangs)
    context = worker(settings, callback_timeout=0.5)
    job = subscribed(context, receiver)
    finish(context.store, job, MAP)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: deliver(worker(context.settings), job), range(4)))
    assert len(receiver.messages) == 1
    state = context.store.read(job).callbacks["successful"]
    assert (state.attempts, state.detail) == (1, "no answer within 0.5 s")


def test_lost_callbacks_are_found_again_and_only_those_that_are_due(settings, receiver, valkey):
    receiver.answer(says(500))
    context = worker(settings, callback_retry_seconds=(3600.0,))
    running, waiting, lost, silent = (subscribed(context, receiver) for _ in range(4))
    for job in (waiting, lost):
        finish(context.store, job, MAP)
    context.store.fail(silent, NoImagery("none"))
    deliver(context, waiting)
    context.store.outbox.open("job_00000000000000000000000000")
    broker = redis.Redis.from_url(valkey.url(0))
    broker.flushall()
    found = recover_callbacks(context.store, context.app, context.settings)
    assert set(found) == {lost, silent, "job_00000000000000000000000000"}
    queued = [json.loads(entry) for entry in broker.lrange(CALLBACKS, 0, -1)]
    assert {entry["headers"]["task"] for entry in queued} == {"cityzones.deliver"}
    assert all(entry["headers"]["expires"] for entry in queued)
    for job in found:
        deliver(context, job)
    assert set(context.store.outbox.opened()) == {running, waiting, lost}


def test_a_job_that_is_being_made_keeps_its_place(settings):
    context = worker(settings)
    young = new_id("job")
    context.store.outbox.open(young)
    deliver(context, young)
    assert context.store.outbox.opened() == [young]


def test_the_end_is_asked_to_be_told_only_where_somebody_listens(settings, receiver, valkey):
    context = worker(settings)
    heard, unheard = subscribed(context, receiver), context.store.create(LCZ, parse_execute(EXECUTE)).job
    for job in (heard, unheard):
        tell_end(context, job)
        tell_progress(context, job)
    queued = redis.Redis.from_url(valkey.url(0)).lrange(CALLBACKS, 0, -1)
    assert len(queued) == 1
    assert heard.encode() in queued[0]
    tell_end(worker(settings, broker_url="redis+socket:///nowhere/s?virtual_host=0"), heard)


def test_progress_is_told_at_the_start_and_then_now_and_then(settings, receiver, valkey):
    context = worker(settings, callback_progress_seconds=1)
    job = subscribed(context, receiver, "inProgressUri")
    broker = redis.Redis.from_url(valkey.url(0))
    context.live.update(job, state="running", blocks_total=10)
    for _ in range(3):
        tell_progress(context, job)
    assert broker.llen(CALLBACKS) == 1
    time.sleep(1.1)
    tell_progress(context, job)
    assert broker.llen(CALLBACKS) == 1
    context.live.block_done(job, "a", "b", "c", "d")
    time.sleep(1.1)
    tell_progress(context, job)
    assert broker.llen(CALLBACKS) == 2
    report_progress(context, job, "3")
    (message,) = receiver.messages
    body = message.verified(shown(secrets_of("public", settings)[0]))
    assert (message.id, message.path) == (f"msg_{job}_running-30", "/inProgressUri")
    assert (body["status"], body["progress"]) == ("running", 35)
    finish(context.store, job, MAP)
    report_progress(context, job, "3")
    report_progress(context, "job_00000000000000000000000000", "3")
    assert len(receiver.messages) == 1


@pytest.mark.real_data
def test_bodies_keep_to_the_standards_schemas(settings, receiver, shared_data):
    context = worker(settings)
    good, bad = (subscribed(context, receiver, "failedUri", "inProgressUri") for _ in range(2))
    report_progress(context, bad, "0")
    finish(context.store, good, MAP)
    context.store.fail(bad, NoImagery("no imagery covers the area"))
    for job in (good, bad):
        deliver(context, job)
    standard = Standard(shared_data.parent / "reference" / "ogcapi-processes-1.0" / "schemas")
    schemas = {"/inProgressUri": "statusInfo.yaml", "/failedUri": "statusInfo.yaml", "/successUri": "results.yaml"}
    assert {message.path for message in receiver.messages} == set(schemas)
    for message in receiver.messages:
        assert standard.faults(schemas[message.path], json.loads(message.body)) == []
    told = status_info(context.store.read(good), settings.public_url).model_dump(mode="json", exclude_none=True)
    assert told["callbacks"]["successful"]["state"] == "delivered"
    assert standard.faults("statusInfo.yaml", told) == []
