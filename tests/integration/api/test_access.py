"""Keys at the door: who gets in, what they may, how often they may ask, and what the open mode answers."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from jobs.errors import StorageUnavailable
from jobs.keys import NewKey
from jobs.record import now
from jobs.settings import Settings
from service.doorkeeper import network_of
from service.gate import check_own_machine
from service.state import State
from tests.servers.api import EXECUTE, HERE, Api, new_job, problem, settings_in
from tests.servers.routes import everything, filled

UNKEYED = {
    "/", "/conformance", "/openapi.json", "/problems", "/problems/{code}", "/processes", "/processes/{process}",
    "/livez", "/readyz", "/health", "/metrics", "/files/{key:path}", "/page.json", "/icon.svg", "/assets/{name}",
}  # fmt: skip
_WAIT = 0.2


@pytest.fixture
def keyed(settings: Settings) -> Api:
    told = {"auth": "keys", "key_cache_seconds": _WAIT, "failures_per_minute": 0}
    return Api(settings.model_copy(update=told))


def parts(api: Api) -> State:
    return api.app.state.open()


def bearer(made: NewKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {made.text}"}


def make(api: Api, *scopes: Any, tenant: str = "acme", **told: Any) -> NewKey:
    return parts(api).keys.create(tenant, scopes or ["read"], **told)


def test_every_route_but_the_public_ones_asks_for_a_key(keyed: Api) -> None:
    asked = 0
    for method, path in everything(keyed.app):
        answer = keyed.ask(method, filled(path, job="job_" + "0" * 26, upload="upl_" + "0" * 26), headers=_TUS)
        if (
            path in UNKEYED
            or path.startswith(("/docs", "/annotate"))
            or (method, path) == ("OPTIONS", "/uploads/resumable")
        ):
            assert answer.status_code not in {401, 403} or path.startswith("/files/"), (method, path, answer.text)
            continue
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        asked += 1
    assert asked >= 20


_TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/json"}


def test_a_key_opens_by_either_header(keyed: Api) -> None:
    made = make(keyed)
    for headers in (bearer(made), {"X-API-Key": made.text}, {"Authorization": f"bEaReR  {made.text} "},
                    bearer(made) | {"X-API-Key": made.text}):  # fmt: skip
        assert keyed.get("/jobs", headers=headers).status_code == 200
    other = make(keyed)
    problem(keyed.get("/jobs", headers=bearer(made) | {"X-API-Key": other.text}), 400, "malformed-request")
    twice = [("X-API-Key", made.text), ("X-API-Key", other.text)]
    problem(keyed.get("/jobs", headers=twice), 400, "malformed-request")
    problem(keyed.get("/jobs", headers={"Authorization": f"Basic {made.text}"}), 401, "unauthorized")


@pytest.mark.parametrize("name", ["api_key", "apikey", "key", "token", "access_token", "API_KEY"])
def test_keys_in_the_query_are_refused(keyed: Api, name: str, caplog: pytest.LogCaptureFixture) -> None:
    made = make(keyed)
    caplog.set_level(logging.DEBUG)
    for query in ({name: made.text}, {name: "x"}, {"anything": made.text}):
        body = problem(keyed.get("/jobs", params=query, headers=bearer(made)), 400, "key-in-url")
        assert made.text not in json.dumps(body)
    body = problem(keyed.ask("DELETE", f"/keys/{made.text}", headers=bearer(made)), 400, "key-in-url")
    assert made.text not in json.dumps(body)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("cityzones")]
    assert told
    assert not any(made.text in line for line in told)


def test_scopes_are_kept(keyed: Api) -> None:
    reader, submitter, admin = make(keyed, "read"), make(keyed, "submit"), make(keyed, "admin")
    job = new_job(keyed.store)

    def codes(made: NewKey) -> list[int]:
        asked: list[tuple[str, str, Any]] = [
            ("GET", "/jobs", None), ("POST", "/processes/local-climate-zones/execution", {"inputs": {}}),
            ("DELETE", f"/jobs/{job}", None), ("GET", "/keys", None),
        ]  # fmt: skip
        return [keyed.ask(method, path, json=body, headers=bearer(made)).status_code for method, path, body in asked]

    assert codes(reader) == [200, 403, 404, 403]
    assert codes(submitter) == [200, 422, 404, 403]
    assert codes(admin) == [200, 422, 404, 200]
    told = problem(keyed.get("/keys", headers=bearer(submitter)), 403, "forbidden")["detail"]
    assert told == "this key may read and submit; this takes one that may admin"


def test_revoked_keys_end_within_the_memory_of_keys(keyed: Api) -> None:
    made = make(keyed)
    assert keyed.get("/jobs", headers=bearer(made)).status_code == 200
    parts(keyed).keys.revoke(made.record.id)
    time.sleep(_WAIT + 0.05)
    assert _ended(keyed, made)


def test_expired_keys_end_on_time(keyed: Api) -> None:
    brief = make(keyed, expires=now() + timedelta(seconds=3))
    assert keyed.get("/jobs", headers=bearer(brief)).status_code == 200
    time.sleep(3.05)
    assert _ended(keyed, brief)


def _ended(keyed: Api, key: NewKey) -> bool:
    told = problem(keyed.get("/jobs", headers=bearer(key)), 401, "unauthorized")
    return "expired or was revoked" in told["detail"]


def test_an_administrator_keeps_the_keys_of_its_own_tenant(keyed: Api) -> None:
    admin, foreign = make(keyed, "admin"), make(keyed, "admin", tenant="other")
    answer = keyed.ask("POST", "/keys", json={"scopes": ["submit"], "name": "web", "days": 30}, headers=bearer(admin))
    made = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.headers["location"] == f"{HERE}/keys/{made['id']}"
    own = {"Authorization": f"Bearer {made['key']}"}
    assert keyed.get("/jobs", headers=own).status_code == 200
    shown = keyed.get(f"/keys/{made['id']}", headers=bearer(admin))
    assert shown.json() == {name: value for name, value in made.items() if name != "key"}
    assert {key["id"] for key in keyed.get("/keys", headers=bearer(admin)).json()["keys"]} == {
        admin.record.id, made["id"],
    }  # fmt: skip
    rotated = keyed.ask("POST", f"/keys/{made['id']}/rotate", json={"grace_hours": 1}, headers=bearer(admin))
    new = {"Authorization": f"Bearer {rotated.json()['key']}"}
    assert [keyed.get("/jobs", headers=headers).status_code for headers in (own, new)] == [200, 200]
    for _ in range(2):
        assert keyed.ask("DELETE", f"/keys/{made['id']}", headers=bearer(admin)).status_code == 204
    time.sleep(_WAIT + 0.05)
    assert [keyed.get("/jobs", headers=headers).status_code for headers in (own, new)] == [401, 200]
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        told = keyed.ask(method, f"/keys/{foreign.record.id}{path}", headers=bearer(admin))
        assert problem(told, 404, "unknown-key")["detail"] == "there is no such key"
    assert parts(keyed).keys.find(foreign.record.id).usable


@pytest.mark.parametrize(
    "wish",
    [{}, {"scopes": []}, {"scopes": ["root"]}, {"scopes": ["read"], "days": 0}, {"scopes": ["read"], "name": "a\nb"},
     {"scopes": ["read"], "tenant": "other"}, {"scopes": ["read"], "name": "x" * 101}],
)  # fmt: skip
def test_wishes_for_keys_are_checked(keyed: Api, wish: dict[str, Any]) -> None:
    problem(keyed.ask("POST", "/keys", json=wish, headers=bearer(make(keyed, "admin"))), 400, "invalid-parameter")


junk = st.one_of(
    st.text(max_size=90),
    st.from_regex(r"cz_[0-9a-z]{26}_[A-Za-z0-9_-]{43}", fullmatch=True),
    st.from_regex(r"cz_(\.\./|%2e%2e%2f|\x00|/){1,9}_[A-Za-z0-9]{1,43}", fullmatch=True),
)


@trials(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk)
@example("")
@example("Bearer Bearer")
def test_junk_opens_nothing(keyed: Api, text: str) -> None:
    for name, value in (("authorization", f"Bearer {text}"), ("x-api-key", text)):
        raw = value.encode("utf-8", "surrogateescape" if text.isascii() else "replace")
        assert keyed.get("/jobs", headers=[(name.encode(), raw)]).status_code == 401


def test_a_flood_of_junk_becomes_no_flood_of_reads(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(settings.model_copy(update={"auth": "keys", "failures_per_minute": 20}))
    good = make(api)
    assert api.get("/jobs", headers=bearer(good)).status_code == 200
    reads: list[str] = []
    read = parts(api).keys.read
    monkeypatch.setattr(parts(api).keys, "read", lambda identifier: (reads.append(identifier), read(identifier))[1])
    codes = [api.get("/jobs", headers={"X-API-Key": f"cz_{n:026}_{'x' * 43}"}).status_code for n in range(60)]
    assert codes == [401] * 20 + [429] * 40
    assert len(reads) == 20
    refused = api.get("/jobs")
    problem(refused, 429, "too-many-requests")
    assert int(refused.headers["retry-after"]) >= 1
    assert api.get("/jobs", headers=bearer(good)).status_code == 200


def test_failures_are_counted_by_what_one_client_can_choose_from() -> None:
    same = {network_of(f"2001:db8:1:2:{n}::{n}") for n in range(1, 9)}
    assert same == {"2001:db8:1:2::/64"}
    told = ["10.0.0.1", "::ffff:10.0.0.1", "", "a socket"]
    assert [network_of(address) for address in told] == told


def test_no_key_opens_while_storage_is_away(keyed: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(keyed)

    def away(_: str) -> None:
        raise StorageUnavailable("away")

    monkeypatch.setattr(parts(keyed).storage, "get", away)
    for text in (made.text, f"cz_{'0' * 26}_{'x' * 43}"):
        answer = keyed.get("/conformance", headers={"X-API-Key": text})
        assert answer.status_code == 200
        answer = keyed.get("/jobs", headers={"X-API-Key": text})
        problem(answer, 503, "storage-unavailable")
        assert "retry-after" in answer.headers


def test_requests_a_minute_are_told_and_kept(keyed: Api) -> None:
    made, other = make(keyed, "admin"), make(keyed, tenant="other")
    parts(keyed).tenants.change("acme", {"requests_per_minute": 3})
    answers = [keyed.get(path, headers=bearer(made)) for path in ("/jobs", "/jobs/none", "/keys", "/jobs")]
    assert [answer.status_code for answer in answers] == [200, 404, 200, 429]
    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"default";q=3;w=60'}
    assert int(answers[3].headers["retry-after"]) == 20
    problem(answers[3], 429, "too-many-requests")
    untouched = keyed.get("/jobs", headers=bearer(other))
    assert untouched.status_code == 200
    assert "ratelimit" not in untouched.headers
    assert "ratelimit" not in keyed.get("/conformance", headers=bearer(made)).headers


def test_without_redis_requests_are_counted_and_answered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    api = Api(settings_in(tmp_path, auth="keys", requests_per_minute=2))
    made = make(api)
    answers = [api.get("/jobs", headers=bearer(made)) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert len([r for r in caplog.records if "Redis does not answer" in r.message]) == 1


def test_quotas_of_jobs_are_refused_with_numbers_and_told(keyed: Api) -> None:
    made = make(keyed, "submit")
    parts(keyed).tenants.change("acme", {"running_jobs": 1, "km2_per_month": 1000})
    body = json.dumps(EXECUTE)

    def execute() -> httpx.Response:
        path, kind = "/processes/local-climate-zones/execution", {"Content-Type": "application/json"}
        return keyed.ask("POST", path, content=body, headers=bearer(made) | kind)

    first = execute()
    assert first.status_code == 201, first.text
    refused = execute()
    assert "1 of your jobs" in problem(refused, 429, "too-many-jobs")["detail"]
    assert int(refused.headers["retry-after"]) > 0
    used = keyed.get("/usage", headers=bearer(made)).json()["used"]
    assert (used["running_jobs"], used["km2_this_month"] > 0) == (1, True)
    keyed.ask("DELETE", f"/jobs/{first.json()['jobID']}", headers=bearer(made))
    parts(keyed).tenants.change("acme", {"running_jobs": 0, "km2_per_month": 1.5 * used["km2_this_month"]})
    refused = execute()
    assert f"{used['km2_this_month']:g} of this month's" in problem(refused, 429, "area-quota-exceeded")["detail"]
    assert int(refused.headers["retry-after"]) > 0
    told = keyed.get("/usage", headers=bearer(made)).json()
    assert told["limits"]["km2_per_month"] == 1.5 * used["km2_this_month"]
    assert told["used"] == {"km2_this_month": used["km2_this_month"], "upload_bytes": 0}


def test_secrets_are_in_no_log(keyed: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made = make(keyed, "admin")
    for headers in (bearer(made), {"X-API-Key": made.text}, bearer(made) | {"X-API-Key": "x"}, bearer(made) | _TUS):
        for method, path in (("GET", "/jobs"), ("GET", "/keys"), ("POST", "/keys"), ("GET", "/jobs/nothing")):
            keyed.ask(method, path, headers=headers, content=b"{" + made.text.encode())
    wrong = made.text[:-5] + "AAAAA"
    keyed.get("/jobs", headers={"X-API-Key": wrong})
    secrets = [text.split("_", 2)[2][:20] for text in (made.text, wrong)]
    assert caplog.text
    assert not any(secret in caplog.text for secret in secrets)


def test_metrics_are_the_operators(settings: Settings) -> None:
    api = Api(settings.model_copy(update={"auth": "keys"}))
    assert api.get("/metrics").status_code == 200
    problem(api.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}), 401, "unauthorized")
    own = Api(Settings.model_validate(settings.model_dump() | {"auth": "keys", "metrics_key": "scraper"}))
    assert own.get("/metrics", headers={"Authorization": "Bearer scraper"}).status_code == 200
    for headers in ({}, bearer(make(own, "admin")), {"Authorization": "Bearer scrapes"}):
        problem(own.get("/metrics", headers=headers), 401, "unauthorized")


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example.org"}, {"Host": "127.0.0.1.evil.org:3000"}, {"Host": "10.0.0.7"}, {"Host": ""},
     {"Origin": "https://evil.example.org"}, {"Origin": "null"}, {"Origin": "http://localhost.evil.org"},
     {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"Via": "1.1 proxy"}],
)  # fmt: skip
def test_open_mode_refuses_what_a_foreign_page_or_proxy_sends(api: Api, headers: dict[str, str]) -> None:
    for method, path in (("GET", "/jobs"), ("POST", "/processes/local-climate-zones/execution"), ("GET", "/")):
        problem(api.ask(method, path, headers=headers), 403, "open-mode-refused")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Host": "localhost:3000"}, {"Host": "[::1]:3000"}, {"Origin": "http://localhost:5173"},
     {"Origin": "http://127.0.0.1:3000"}],
)  # fmt: skip
def test_open_mode_answers_this_machine(api: Api, headers: dict[str, str]) -> None:
    assert api.get("/jobs", headers=headers).status_code == 200


def test_open_mode_refuses_other_machines(api: Api) -> None:
    async def ask(address: str) -> int:
        transport = httpx.ASGITransport(api.app, client=(address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
            return (await client.get("/jobs")).status_code

    assert [asyncio.run(ask(address)) for address in ("127.0.0.1", "::1", "10.1.2.3", "::ffff:8.8.8.8")] == [
        200, 200, 403, 403,
    ]  # fmt: skip


def test_open_mode_answers_pages_the_operator_named() -> None:
    asked = {
        "type": "http",
        "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost"), (b"origin", b"https://m.org")],
    }
    check_own_machine(asked, ("https://m.org",))
    with pytest.raises(Exception, match="from elsewhere"):
        check_own_machine(asked, ("*",))


def test_open_mode_says_so_and_makes_no_keys(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    api = Api(settings)
    problem(api.ask("POST", "/keys", json={"scopes": ["admin"]}), 409, "keys-not-used")
    assert "CITYZONES_AUTH=open: no key is asked" in caplog.text
    assert api.get("/usage").json()["tenant"] == "public"
