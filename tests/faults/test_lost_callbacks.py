"""Faults: a killed worker, a flushed queue and a stopped stack lose no callback."""

import os
import signal
import time

import httpx
import psutil
import pytest
import redis

from service.client import Client
from service.stack.embedded import EmbeddedStack
from tests.journeys import PROCESS, finish, stac_inputs
from tests.servers.receiver import Receiver, hangs, says

pytestmark = pytest.mark.scale


@pytest.fixture(scope="module")
def overrides(catalogue, weights_cache):
    return {
        "CITYZONES_STAC_URL": catalogue,
        "CITYZONES_WEIGHTS_CACHE": str(weights_cache),
        "CITYZONES_CALLBACK_ALLOW_HTTP": "true",
        "CITYZONES_CALLBACK_HOSTS": "127.0.0.1/32",
        "CITYZONES_CALLBACK_RETRY_SECONDS": "1,4,4,4,4,4",
        "CITYZONES_RECOVER_EVERY": "2",
    }


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def submit(client, sample, receiver):
    inputs = stac_inputs(sample) | {"outputs": ["map"]}
    return finish(client, inputs, subscriber={"successUri": f"{receiver.url}/done"})["jobID"]


def wait(ready, seconds=30):
    limit = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_callbacks_survive_a_flushed_queue_and_a_stopped_stack(tmp_path, overrides, sample, receiver):
    receiver.answer(says(503))
    with EmbeddedStack(tmp_path / "stack", overrides=overrides) as stack, Client(stack.url) as client:
        job = submit(client, sample, receiver)
        wait(lambda: len(receiver.messages) >= 2)
        redis.Redis.from_url(stack.settings.live_url).flushall()
        wait(lambda: len(receiver.messages) >= 3)
        assert client.status(job)["status"] == "successful"
        secret = httpx.get(f"{stack.url}/callbacks/secret", timeout=10).json()["secret"]
    receiver.answer(says(204))
    before = len(receiver.messages)
    with EmbeddedStack(tmp_path / "stack", overrides=overrides) as stack, Client(stack.url) as client:
        wait(lambda: client.status(job)["callbacks"]["successful"]["state"] == "delivered")
        time.sleep(5)
    assert len(receiver.messages) == before + 1
    assert {message.id for message in receiver.messages} == {f"msg_{job}_successful"}
    assert receiver.messages[-1].verified(secret)["map"]["href"]


def test_a_worker_killed_while_it_delivers_is_followed_by_another(tmp_path, overrides, sample, receiver):
    receiver.answer(hangs)
    told = overrides | {"CITYZONES_CALLBACK_TIMEOUT": "30"}
    with EmbeddedStack(tmp_path / "stack", workers=1, overrides=told) as stack, Client(stack.url) as client:
        job = client.submit(
            PROCESS,
            {
                "inputs": stac_inputs(sample) | {"outputs": ["map"]},
                "subscriber": {"successUri": f"{receiver.url}/done"},
            },
        )["jobID"]
        wait(lambda: receiver.messages, 90)
        receiver.answer(says(204))
        main = psutil.Process(stack.worker.guard_pid).children()[0]
        for child in main.children():
            os.kill(child.pid, signal.SIGKILL)
        redis.Redis.from_url(stack.settings.live_url).delete(f"cityzones:{job}:claim:delivery")  # or it ends in 90 s
        wait(lambda: client.status(job)["callbacks"]["successful"]["state"] == "delivered", 60)
        assert client.status(job)["callbacks"]["successful"]["attempts"] == 1
    assert {message.id for message in receiver.messages} == {f"msg_{job}_successful"}
