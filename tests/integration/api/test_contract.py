"""The published contract: landing page, OpenAPI document, and the schemas of OGC API - Processes 1.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft4Validator, Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from jobs.public.problems import PROBLEMS
from service.examples import EXECUTE_EXAMPLES
from tests.servers.api import LCZ, Api, finish, new_job


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


@pytest.mark.real_data
def test_bodies_keep_to_the_standards_schemas(api: Api, shared_data: Path) -> None:
    job = api.execute().json()["jobID"]
    done = new_job(api.store)
    finish(api.store, done, {"map": ("map.tif", "image/tiff", b"123")})
    folder = shared_data.parent / "reference" / "ogcapi-processes-1.0" / "schemas"
    files = {path.name: yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")}
    registry: Registry[Any] = Registry().with_resources(
        (name, Resource.from_contents(schema, default_specification=DRAFT4)) for name, schema in files.items()
    )
    bodies = {
        "landingPage.yaml": api.get("/"),
        "confClasses.yaml": api.get("/conformance"),
        "processList.yaml": api.get("/processes"),
        "process.yaml": api.get(f"/processes/{LCZ}"),
        "statusInfo.yaml": api.get(f"/jobs/{job}"),
        "jobList.yaml": api.get("/jobs"),
        "results.yaml": api.get(f"/jobs/{done}/results"),
        "exception.yaml": api.get("/jobs/none"),
    }
    for name, answer in bodies.items():
        faults = list(Draft4Validator({"$ref": name}, registry=registry).iter_errors(answer.json()))
        assert not faults, (name, [(list(f.path), f.message) for f in faults])
