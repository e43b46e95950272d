"""A request that is sent twice under one key makes one job, however the first one went."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from jobs.idempotency import IdempotencyKeys, fingerprint_of
from jobs.record import now
from tests.servers.api import EXECUTE, LCZ, Api, problem

KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}


def send(api: Api, body: Any = EXECUTE, **headers: str) -> httpx.Response:
    return api.ask("POST", f"/processes/{LCZ}/execution", json=body, headers=KEY | headers)


def count(api: Api) -> int:
    return len(api.get("/jobs").json()["jobs"])


def test_the_same_request_again_is_the_same_job(api: Api) -> None:
    first, second = send(api), send(api)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.headers["location"] == second.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    turned = {"inputs": dict(reversed(list(EXECUTE["inputs"].items())))}
    assert send(api, turned).headers["location"] == first.headers["location"]
    assert count(api) == 1


def test_another_request_under_the_key_is_refused(api: Api) -> None:
    send(api)
    problem(send(api, {"inputs": EXECUTE["inputs"] | {"units": "scene"}}), 422, "idempotency-key-reused")
    assert count(api) == 1


def test_a_refused_request_leaves_the_key_free(api: Api) -> None:
    problem(send(api, {"inputs": {}}), 422, "invalid-request")
    assert send(api).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "\u00e9"])
def test_keys_have_a_form(api: Api, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = api.ask("POST", f"/processes/{LCZ}/execution", json=EXECUTE, headers=headers)
    problem(answer, 400, "invalid-idempotency-key")
    assert count(api) == 0


def test_while_the_first_is_answered_the_second_waits(api: Api) -> None:
    keys = IdempotencyKeys(api.store.storage)
    reserved = keys.reserve("public", KEY["Idempotency-Key"], fingerprint_of(LCZ, EXECUTE))
    waiting = send(api)
    problem(waiting, 409, "request-in-flight")
    assert int(waiting.headers["retry-after"]) > 0
    keys.release(reserved)
    assert send(api).status_code == 201


def test_a_request_that_died_is_taken_over(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = IdempotencyKeys(api.store.storage)
    reserved = keys.reserve("public", KEY["Idempotency-Key"], fingerprint_of(LCZ, EXECUTE))
    monkeypatch.setattr("jobs.idempotency.now", lambda: now() + timedelta(minutes=2))
    assert send(api).json()["jobID"] == reserved.job


def test_a_day_later_the_key_is_free(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    first = send(api).json()["jobID"]
    monkeypatch.setattr("jobs.idempotency.now", lambda: now() + timedelta(hours=25))
    assert send(api, {"inputs": EXECUTE["inputs"] | {"units": "scene"}}).json()["jobID"] != first
    monkeypatch.setattr("jobs.idempotency.now", lambda: now() + timedelta(hours=50))
    assert IdempotencyKeys(api.store.storage).forget_old() == 1


def test_equal_requests_at_once_make_one_job(api: Api) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(api), range(16)))
    assert {a.status_code for a in answers} <= {201, 409}
    assert len({a.headers["location"] for a in answers if a.status_code == 201}) == 1
    assert count(api) == 1
