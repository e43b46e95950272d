"""GET /health: strangers hear which parts answer, callers with a key also versions, models and queues."""

from __future__ import annotations

import redis

from jobs.keys import KeyStore
from jobs.lengths import running_key
from jobs.settings import Settings
from jobs.storage import Storage
from models.cards import cards
from tests.servers.api import Api, problem


def keyed(settings: Settings) -> Api:
    return Api(settings.model_copy(update={"auth": "keys", "failures_per_minute": 0}))


def test_strangers_hear_which_parts_answer_and_no_more(settings: Settings) -> None:
    answer = keyed(settings).get("/health")
    assert answer.status_code == 200
    told = answer.json()
    assert told["status"] == "degraded"  # there is no model server in this test
    assert set(told) == {"status", "parts"}
    assert told["parts"]["storage"] == told["parts"]["queue"] == {"said": "ok"}
    assert "does not answer" in told["parts"]["inference"]["said"]
    assert settings.triton_url not in answer.text


def test_a_key_opens_versions_models_and_queues(settings: Settings) -> None:
    broker, live = (
        redis.Redis.from_url(url.replace("redis+socket", "unix").replace("virtual_host", "db"))
        for url in (settings.broker_url, settings.live_url)
    )
    broker.rpush("blocks", "a piece of work", "another")
    live.hset(running_key("blocks"), "one that runs", "1")
    api = keyed(settings)
    made = KeyStore(Storage(settings)).create("public", ["read"])
    told = api.get("/health", headers={"X-API-Key": made.text}).json()
    assert told["version"]
    assert told["libraries"]["celery"].startswith("5.")
    assert {model["id"] for model in told["models"]} == set(cards())
    assert all(model["precision"] and not model["ready"] for model in told["models"])
    assert told["queues"]["blocks"] == {"waiting": 2, "running": 1}
    assert set(told["queues"]) == {"jobs", "blocks", "callbacks", "interactive", "upkeep"}
    assert all(part["milliseconds"] >= 0 for part in told["parts"].values())


def test_a_bad_key_is_refused(settings: Settings) -> None:
    problem(keyed(settings).get("/health", headers={"X-API-Key": "cz_no_key"}), 401, "unauthorized")


def test_a_queue_that_is_away_leaves_its_lengths_out(down: Api) -> None:
    told = down.get("/health").json()
    assert "does not answer" in told["parts"]["queue"]["said"]
    assert "queues" not in told
    assert told["models"]
