"""The published contract: landing page and OpenAPI document."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator

from jobs.public.problems import PROBLEMS
from service.examples import EXECUTE_EXAMPLES
from tests.servers.api import Api


def test_the_landing_page_is_for_programs_and_for_people(api: Api) -> None:
    body = api.get("/").json()
    for link in body["links"]:
        assert api.get(link["href"].removeprefix("http://127.0.0.1")).status_code in {200, 503}
    page = api.get("/", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert "Compact high-rise" in page.text
    assert "src=" not in page.text
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
