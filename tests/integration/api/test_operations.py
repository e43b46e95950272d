"""What operators see: readiness by part, storage that is away, metrics by route."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
import redis

from jobs.lengths import running_key
from jobs.settings import Settings
from tests.servers.api import Api, new_job, problem


def test_storage_that_is_away_is_a_503_that_tells_nothing_inside(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api.get("/jobs")
    (tmp_path / "store").rename(tmp_path / "moved")
    (tmp_path / "store").write_text("a file where the folder was")
    with caplog.at_level(logging.INFO):
        answer = api.execute()
    body = problem(answer, 503, "storage-unavailable")
    assert answer.headers["retry-after"] == "5"
    assert str(tmp_path) not in answer.text
    assert body["reference"] in caplog.text
    parts = problem(api.get("/readyz"), 503, "not-ready")["parts"]
    assert parts["storage"] != "ok"
    assert parts["queue"] == "ok"


def test_readiness_names_the_part_that_fails(api: Api, down: Api) -> None:
    parts = problem(api.get("/readyz"), 503, "not-ready")["parts"]
    assert (parts["storage"], parts["queue"]) == ("ok", "ok")
    assert "does not answer" in parts["inference"]
    assert api.get("/readyz?exclude=inference").json() == {
        "status": "ready",
        "parts": {"storage": "ok", "queue": "ok"},
    }
    assert "does not answer" in down.get("/readyz?exclude=inference").json()["parts"]["queue"]
    assert down.get("/livez").json() == {"status": "ok"}


def test_metrics_count_by_route_template(api: Api) -> None:
    job = new_job(api.store)
    api.get(f"/jobs/{job}")
    text = api.get("/metrics").text
    assert 'cityzones_http_requests_total{method="GET",route="/jobs/{job}",status="200"} 1.0' in text
    assert job not in text


def test_metrics_tell_the_lengths_of_queues_storage_and_the_build(api: Api, settings: Settings) -> None:
    redis.Redis.from_url(settings.live_url).hset(running_key("blocks"), mapping={"one": "1", "another": "2"})
    job = api.execute().json()["jobID"]
    text = api.get("/metrics").text
    waiting = re.findall(r'cityzones_queue_waiting\{queue="(\w+)"\} (\S+)', text)
    assert sum(float(number) for _, number in waiting) == 1
    assert {queue for queue, _ in waiting} == {"jobs", "blocks", "callbacks", "interactive", "upkeep"}
    assert 'cityzones_queue_running{queue="blocks"} 2.0' in text
    oldest = dict(re.findall(r'cityzones_queue_oldest_seconds\{queue="(\w+)"\} (\S+)', text))
    assert set(oldest) == {"jobs", "blocks", "interactive"}
    assert sorted(float(seconds) > 0 for seconds in oldest.values()) == [False, False, True]
    assert 'cityzones_jobs_created_total{process="local-climate-zones"}' in text
    assert 'cityzones_storage_seconds_count{operation="create",outcome="done"}' in text
    assert "cityzones_build_info{" in text
    assert "process_resident_memory_bytes" in text
    assert job not in text


def test_metrics_come_although_the_queue_is_away(down: Api) -> None:
    text = down.get("/metrics").text
    assert "cityzones_queue_up 0.0" in text
    assert "cityzones_queue_waiting{" not in text
    assert "cityzones_http_requests_in_flight" in text


def test_every_answer_has_the_requests_id(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    assert api.get("/jobs", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    made = api.get("/jobs/nothing").headers["x-request-id"]
    assert len(made) == 16
    assert api.get("/jobs", headers={"X-Request-ID": "two words\t"}).headers["x-request-id"] not in {"", "two words"}
