"""What operators see: readiness by part, storage that is away, metrics by route."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

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
