"""Callbacks of whole jobs: submitted over HTTP, mapped by workers, told to a receiver that verifies them."""

import time

import httpx
import pytest

from tests.journeys import PROCESS, finish, stac_inputs
from tests.servers.receiver import Receiver


@pytest.fixture(scope="module")
def secret(stack):
    return httpx.get(f"{stack.url}/callbacks/secret", timeout=10).json()["secret"]


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def subscriber(receiver):
    return {name: f"{receiver.url}/{name}" for name in ("successUri", "failedUri", "inProgressUri")}


def wait_for(receiver, path):
    limit = time.monotonic() + 20
    while not (found := [message for message in receiver.messages if message.path == path]):
        assert time.monotonic() < limit, receiver.messages
        time.sleep(0.05)
    return found


def test_a_map_is_told_once_it_starts_and_once_it_is_ready(client, sample, receiver, secret):
    inputs = stac_inputs(sample) | {"outputs": ["map"]}
    job = finish(client, inputs, subscriber=subscriber(receiver))["jobID"]
    (ready,) = wait_for(receiver, "/successUri")
    going = wait_for(receiver, "/inProgressUri")
    results = ready.verified(secret)
    assert set(results) == {"map"}
    assert (
        httpx.get(results["map"]["href"], timeout=10).content
        == httpx.get(client.results(job)["map"]["href"], timeout=10).content
    )
    assert [message.verified(secret)["jobID"] for message in going] == [job] * len(going)
    assert len({message.id for message in receiver.messages}) == len(receiver.messages)
    told = client.status(job)["callbacks"]["successful"]
    assert (told["state"], told["attempts"], told["status"]) == ("delivered", 1, 204)


def test_a_job_that_fails_is_told_with_its_reason(client, sample, receiver, secret):
    stac = {"collection": "procedural-sentinel-2", "datetime": "1990-01-01/1990-02-01"}
    body = {"inputs": stac_inputs(sample) | {"imagery": {"stac": stac}}, "subscriber": subscriber(receiver)}
    job = client.submit(PROCESS, body)["jobID"]
    (message,) = wait_for(receiver, "/failedUri")
    failed = message.verified(secret)
    assert (failed["jobID"], failed["problem"]["code"]) == (job, "no-imagery")
    assert "/successUri" not in {m.path for m in receiver.messages}
