"""Headers of every answer, and what pages from elsewhere may do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.api import EXECUTE, HERE, LCZ, Api, settings_in

PAGE = "http://localhost:8080"  # open mode listens to pages of this machine alone


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(settings_in(tmp_path, cors_origins=(PAGE,)))


@pytest.mark.parametrize("path", ["/", "/nowhere", "/openapi.json", "/jobs/x", "/processes", "/livez"])
def test_every_answer_says_what_browsers_may_do_with_it(api: Api, path: str) -> None:
    headers = api.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert "strict-transport-security" not in headers


def test_https_is_kept_where_the_service_has_it(tmp_path: Path) -> None:
    api = Api(settings_in(tmp_path, public_url="https://maps.example.org", auth="keys"))
    assert api.get("/livez").headers["strict-transport-security"] == "max-age=31536000"


def test_a_page_that_is_named_may_ask_beforehand(api: Api) -> None:
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,prefer",
    }
    answer = api.ask("OPTIONS", f"/processes/{LCZ}/execution", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-max-age"] == "600"
    assert "access-control-allow-credentials" not in answer.headers
    refused = api.ask("OPTIONS", "/jobs", headers=asked | {"Origin": "http://localhost:9090"})
    assert refused.status_code == 400
    assert refused.json()["code"] == "malformed-request"
    assert "access-control-allow-origin" not in refused.headers


def test_a_page_may_read_answers_and_errors_alike(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = {"Origin": PAGE}
    long = {"X-Long": "a" * 40_000}
    answers = {
        200: api.get("/processes", headers=origin),
        404: api.get("/nowhere", headers=origin),
        405: api.ask("PUT", "/jobs", headers=origin),
        413: api.ask(
            "POST", f"/processes/{LCZ}/execution", json=EXECUTE, headers=origin | {"Content-Length": "9" * 12}
        ),
        414: api.get(f"/jobs?x={'a' * 9000}", headers=origin),
        431: api.get("/jobs", headers=origin | long),
    }
    monkeypatch.setattr("service.routes.processes.process_ids", lambda: 1 / 0)
    answers[500] = api.get("/processes", headers=origin)
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "Location" in answer.headers["access-control-expose-headers"]
        assert "Origin" in answer.headers["vary"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
    assert "division" not in answers[500].text


def test_other_pages_read_nothing(api: Api, tmp_path: Path) -> None:
    answer = api.get("/processes", headers={"Origin": "http://localhost:9090"})
    assert "access-control-allow-origin" not in answer.headers
    assert "Origin" in answer.headers["vary"]
    plain = Api(settings_in(tmp_path / "plain"))
    assert "access-control-allow-origin" not in plain.get("/processes", headers={"Origin": PAGE}).headers
    assert plain.ask("OPTIONS", "/jobs", headers={"Origin": PAGE}).status_code == 405


def test_every_page_may_be_let_in_but_without_credentials(tmp_path: Path) -> None:
    api = Api(settings_in(tmp_path, cors_origins=("*",)))
    headers = api.get("/processes", headers={"Origin": HERE}).headers
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers
