"""The published contract: landing page and OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from jobs.public.problems import PROBLEMS
from service.examples import EXECUTE_EXAMPLES
from tests.servers.api import Api, new_job, problem
from tests.servers.routes import everything, filled


def test_the_links_of_the_landing_page_lead_somewhere(api: Api) -> None:
    body = api.get("/").json()
    for link in body["links"]:
        assert api.get(link["href"].removeprefix("http://127.0.0.1")).status_code in {200, 503}
    assert api.get("/", headers={"accept": "*/*"}).headers["content-type"] == "application/json"


def test_the_contract_is_openapi_31_with_examples_that_run(api: Api) -> None:
    document = api.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert {"/jobs/{job}/results", "/uploads", "/classify", "/files/{key}"} <= set(document["paths"])
    text = json.dumps(document)
    named = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert named <= set(document["components"]["schemas"])
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    content = document["paths"]["/processes/{process}/execution"]["post"]["requestBody"]["content"]
    assert content["application/json"]["examples"] == EXECUTE_EXAMPLES
    for name in ("stac", "polygon"):
        assert api.execute(EXECUTE_EXAMPLES[name]["value"]).status_code == 201
    assert {p["code"] for p in api.get("/problems").json()["problems"]} == set(PROBLEMS)


def test_operations_are_named_once_and_tagged(api: Api) -> None:
    document = api.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(name.isalpha() for name in names)
    assert {tag for operation in operations for tag in operation["tags"]} == {tag["name"] for tag in document["tags"]}
    linked = [
        link["operationId"]
        for operation in operations
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(linked) > 15
    assert set(linked) <= set(names)
    told = {code for operation in operations for code in _codes(operation)}
    assert told <= set(PROBLEMS)


def _codes(operation: dict[str, Any]) -> Iterator[str]:
    for status, answer in operation["responses"].items():
        schema = answer.get("content", {}).get("application/problem+json", {}).get("schema", {})
        assert bool(schema) == (int(status) >= 400), (operation["operationId"], status)
        yield from schema["properties"]["code"]["enum"] if schema else ()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/processes?limt=1", "did you mean 'limit'"),
        ("/jobs?limit=1&limit=2", "may come once"),
        ("/usage?month=5", "known: none"),
        ("/readyz?exclude=imagery", "exclude"),
        ("/uploads?before=latest", "before"),
        ("/?f=json", "'f'"),
    ],
)
def test_parameters_that_would_be_ignored_are_refused(api: Api, path: str, said: str) -> None:
    assert said in problem(api.get(path), 400, "invalid-parameter")["detail"]


def test_what_is_no_operation_may_have_any_query(api: Api) -> None:
    assert api.get("/docs?x=1").status_code == 200
    assert api.get("/jobs?status=failed&status=running").status_code == 200
    problem(api.get("/nowhere?x=1"), 404, "not-found")


def test_everything_that_has_get_has_head(api: Api) -> None:
    job = new_job(api.store)
    paths = [path for method, path in everything(api.app) if method == "GET"]
    for path in (path for path in paths if not path.startswith("/uploads/resumable") and not path.endswith("/events")):
        told = filled(path, job=job, upload=f"upl_{'0' * 26}", name="start.js")
        head, get = api.ask("HEAD", told), api.get(told)
        assert (head.status_code, head.headers.get("etag")) == (get.status_code, get.headers.get("etag")), path
        assert head.headers.get("content-type") == get.headers.get("content-type"), path
        assert not head.content, path
    stream = api.ask("HEAD", f"/jobs/{job}/events")  # ends, though the job does not
    assert (stream.status_code, stream.content) == (200, b"")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/jobs", "GET, HEAD"),
        ("/uploads", "GET, HEAD, POST"),
        ("/uploads/resumable", "OPTIONS, POST"),
        ("/files/jobs/x", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
    ],
)
def test_allow_names_the_methods_of_the_contract(api: Api, path: str, methods: str) -> None:
    answer = api.ask("TRACE", path, headers={"Tus-Resumable": "1.0.0"})
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == methods


def test_a_part_that_does_not_answer_says_when_to_ask_again(down: Api) -> None:
    answer = down.get("/readyz")
    problem(answer, 503, "not-ready")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(("size", "status"), [(1000.0, 201), (1000.5, 400), ("1000", 400), (True, 400)])
def test_numbers_are_json_numbers(api: Api, size: object, status: int) -> None:
    assert api.ask("POST", "/uploads", json={"filename": "a.tif", "size": size}).status_code == status


def test_what_nobody_foresaw_is_a_problem_without_its_text(api: Api) -> None:
    job = new_job(api.store)
    api.store.storage.put(f"jobs/{job}/result.json", b'{"secret": 1}')
    body = problem(api.get(f"/jobs/{job}/results"), 500, "internal")
    assert body["reference"]
    assert "secret" not in str(body)
    assert "validation" not in str(body)
