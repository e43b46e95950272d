"""Requests that cannot be served are refused with a problem that points at the fault."""

from __future__ import annotations

from typing import Any

import pytest

from tests.servers.api import EXECUTE, LCZ, Api, new_job, problem


@pytest.mark.parametrize(
    ("inputs", "code", "pointer"),
    [
        ({"aoi": {"bbox": [13, 52, 13.0001, 52.0001]}}, "area-out-of-limits", "/inputs/aoi"),
        ({"aoi": {"bbox": [179, 52, -179, 53]}}, "antimeridian", "/inputs/aoi/bbox"),
        ({"aoi": {"type": "Point", "coordinates": [1, 2]}}, "invalid-area", "/inputs/aoi/type"),
        ({"modle": "x"}, "invalid-request", "/inputs/modle"),
        ({"model": "no-such-model"}, "unknown-model", "/inputs/model"),
        ({"units": "parcel"}, "invalid-request", "/inputs"),
        ({"imagery": {"stac": {"datetime": "2025", "catalogue": "http://169.254.169.254/"}}}, "invalid-request",
         "/inputs/imagery/stac/catalogue"),
        ({"imagery": {"uploads": ["upl_01jd5x3v8r7q2m9k4n6p0w1y5z"]}}, "invalid-request", "/inputs/imagery/uploads/0"),
    ],
)  # fmt: skip
def test_what_cannot_be_mapped_is_pointed_at(api: Api, inputs: dict[str, Any], code: str, pointer: str) -> None:
    body = problem(api.execute({"inputs": EXECUTE["inputs"] | inputs}), 422, code)
    assert pointer in [fault["pointer"] for fault in body["errors"]]
    assert api.get("/jobs").json()["jobs"] == []


def test_bodies_http_refuses(api: Api) -> None:
    path, kind = f"/processes/{LCZ}/execution", {"content-type": "application/json"}
    problem(api.ask("POST", path, content=b"{", headers=kind), 400, "malformed-json")
    problem(api.ask("POST", path, content=b"[]", headers=kind), 422, "invalid-request")
    problem(api.ask("POST", path, content=b"{}", headers={"content-type": "text/plain"}), 415, "unsupported-media-type")
    huge = b'{"a":"' + b"x" * api.settings.max_body_bytes + b'"}'
    problem(api.ask("POST", path, content=huge, headers=kind), 413, "body-too-large")
    no_process = problem(api.execute(process="volcanoes"), 404, "unknown-process")
    assert no_process["type"].endswith("/1.0/no-such-process")


def test_framework_errors_are_problems_too(api: Api) -> None:
    problem(api.get("/nowhere"), 404, "not-found")
    wrong = api.ask("PUT", f"/jobs/{new_job(api.store)}")
    problem(wrong, 405, "method-not-allowed")
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD", "DELETE"}
    body = problem(api.get("/jobs?limit=0"), 400, "invalid-parameter")
    assert body["errors"][0]["pointer"] == "limit"


@pytest.mark.parametrize("job", ["x", "job_", "%2e%2e", "job_01jd5x3v8r7q2m9k4n6p0w1y5z", "job_" + "a" * 5000])
def test_unknown_jobs_are_the_standards_problem(api: Api, job: str) -> None:
    for method, path in (("GET", f"/jobs/{job}"), ("GET", f"/jobs/{job}/results"), ("DELETE", f"/jobs/{job}")):
        assert problem(api.ask(method, path), 404, "unknown-job")["type"].endswith("/1.0/no-such-job")
