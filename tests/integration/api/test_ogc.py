"""OGC API - Processes 1.0: every answer keeps to the standard's schemas and to the service's own; links and rules hold.

The schemas have faults of their own: subscriber.yaml requires `successUrl`, which it names `successUri` below, so that
no execute request with a subscriber fits; output.yaml leaves out `transmissionMode`, which the text has; and
others offer kinds that overlap as oneOf (see OVERLAPPING).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.record import now
from jobs.request import parse_execute
from models.errors import CityzonesError
from service.examples import EXECUTE_EXAMPLES
from tests.integration.api.schemas import Contract, Standard
from tests.servers.api import EXECUTE, HERE, LCZ, Api, finish, new_job, problem, settings_in

OGC = "http://www.opengis.net/def/rel/ogc/1.0"
EXCEPTION = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
EXECUTION = f"/processes/{LCZ}/execution"
JOB, RESULTS, RUN = "/jobs/{job}", "/jobs/{job}/results", "/processes/{process}/execution"
JSON = {"content-type": "application/json"}
Answers = list[tuple[str, str, httpx.Response]]


@pytest.fixture(scope="session")
def standard(shared_data: Path) -> Standard:
    return Standard(shared_data.parent / "reference" / "ogcapi-processes-1.0" / "schemas")


def check(standard: Standard, api: Api, answers: Answers) -> None:
    """Check answers, each with its schema's name and its path in the contract, against both."""
    contract = Contract(api.get("/openapi.json").json())
    for schema, path, answer in answers:
        where = (schema, str(answer.request.url), answer.status_code, answer.text[:300])
        assert not standard.faults(schema, answer.json()), where
        assert not contract.faults(path, answer), where


def rels(body: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {link["rel"]: link for link in body["links"]}


def follow(api: Api, link: dict[str, str]) -> httpx.Response:
    return api.get(link["href"].removeprefix(HERE), headers={"accept": link["type"]})


@pytest.mark.real_data
def test_what_is_offered_keeps_to_both_schemas(api: Api, standard: Standard) -> None:
    check(standard, api, [
        ("landingPage.yaml", "/", api.get("/")),
        ("confClasses.yaml", "/conformance", api.get("/conformance")),
        ("processList.yaml", "/processes", api.get("/processes")),
        ("processList.yaml", "/processes", api.get("/processes?limit=1")),
        *(("process.yaml", "/processes/{process}", api.get(f"/processes/{process['id']}"))
          for process in api.get("/processes").json()["processes"]),
    ])  # fmt: skip


@pytest.mark.real_data
@pytest.mark.parametrize("name", EXECUTE_EXAMPLES)
def test_requests_as_the_standard_writes_them_are_understood(name: str, standard: Standard) -> None:
    inputs = EXECUTE_EXAMPLES[name]["value"]["inputs"]
    qualified = {n: {"value": v, "mediaType": "application/json"} if _is_object(v) else v for n, v in inputs.items()}
    body = {"inputs": qualified, "outputs": {"map": {"format": {"mediaType": "image/tiff"}}}, "response": "document"}
    assert not standard.faults("execute.yaml", body)
    assert parse_execute(body).inputs == parse_execute({"inputs": inputs}).inputs


def _is_object(value: Any) -> bool:
    """Say whether the standard wants a value qualified: objects other than boxes."""
    return isinstance(value, dict) and "bbox" not in value


@pytest.mark.real_data
def test_jobs_in_every_state_keep_to_both_schemas(api: Api, standard: Standard) -> None:
    created = api.execute()
    accepted, running, done, failed, gone = (new_job(api.store) for _ in range(5))
    api.store.live.update(running, state="running", phase="mapping", started=now().isoformat(), blocks_total=4)
    finish(api.store, done, {"map": ("map.tif", "image/tiff", b"123")})
    api.store.fail(failed, CityzonesError("KeyError"))
    dismissed = api.ask("DELETE", f"/jobs/{gone}")
    states = {accepted: "accepted", running: "running", done: "successful", failed: "failed", gone: "dismissed"}
    shown = {job: api.get(f"/jobs/{job}") for job in states}
    assert {job: answer.json()["status"] for job, answer in shown.items()} == states
    first = api.get("/jobs?limit=2")
    check(standard, api, [
        ("statusInfo.yaml", RUN, created),
        ("statusInfo.yaml", JOB, dismissed),
        *(("statusInfo.yaml", JOB, answer) for answer in shown.values()),
        ("jobList.yaml", "/jobs", first),
        ("jobList.yaml", "/jobs", follow(api, rels(first.json())["next"])),
        ("jobList.yaml", "/jobs", api.get("/jobs?status=failed&processID=land-cover")),
        ("results.yaml", RESULTS, api.get(f"/jobs/{done}/results")),
        ("exception.yaml", RESULTS, api.get(f"/jobs/{accepted}/results")),
        ("exception.yaml", RESULTS, api.get(f"/jobs/{failed}/results")),
        ("exception.yaml", RESULTS, api.get(f"/jobs/{gone}/results")),
    ])  # fmt: skip


@pytest.mark.real_data
def test_exceptions_keep_to_both_schemas(api: Api, standard: Standard, tmp_path: Path) -> None:
    broken = new_job(api.store)
    api.store.storage.put(f"jobs/{broken}/request.json", b"no JSON")
    huge = b"x" * (api.settings.max_body_bytes + 1)
    keyed = Api(settings_in(tmp_path / "keyed", auth="keys"))
    limited = Api(settings_in(tmp_path / "limited", auth="open", requests_per_minute=1))
    limited.get("/jobs")
    away = Api(settings_in(tmp_path / "away"))
    away.get("/jobs")
    (tmp_path / "away" / "store").rename(tmp_path / "moved")
    (tmp_path / "away" / "store").write_text("a file where the folder was")
    answers = {
        (400, RUN): api.ask("POST", EXECUTION, content=b"{", headers=JSON),
        (400, "/jobs"): api.get("/jobs?limit=none"),
        (401, "/jobs"): keyed.get("/jobs"),
        (404, "/processes/{process}"): api.get("/processes/volcanoes"),
        (404, JOB): api.get("/jobs/none"),
        (404, RUN): api.execute(process="volcanoes"),
        (405, JOB): api.ask("PUT", "/jobs/none"),
        (413, RUN): api.ask("POST", EXECUTION, content=huge, headers=JSON),
        (415, RUN): api.ask("POST", EXECUTION, content=b"{}", headers={"content-type": "text/xml"}),
        (422, RUN): api.execute({"inputs": {}}),
        (429, "/jobs"): limited.get("/jobs"),
        (500, JOB): api.get(f"/jobs/{broken}"),
        (503, RUN): away.execute(),
    }
    assert {at: answer.status_code for at, answer in answers.items()} == {at: at[0] for at in answers}
    check(standard, api, [("exception.yaml", path, answer) for (_, path), answer in answers.items()])


def test_the_landing_page_leads_to_everything_the_standard_names(api: Api) -> None:
    links = rels(api.get("/").json())
    wanted = {
        "self",
        "alternate",
        "service-desc",
        "service-doc",
        f"{OGC}/conformance",
        f"{OGC}/processes",
        f"{OGC}/job-list",
    }
    assert wanted <= set(links)
    for rel in wanted:
        answer = follow(api, links[rel])
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] == links[rel]["type"].partition(";")[0]
    classes = {uri.rpartition("/")[2] for uri in api.get("/conformance").json()["conformsTo"]}
    assert classes == {"core", "ogc-process-description", "json", "job-list", "dismiss", "callback"}


def test_processes_are_listed_in_pages_and_lead_to_their_execution(api: Api) -> None:
    seen, page = [], api.get("/processes?limit=1").json()
    while True:
        assert len(page["processes"]) == 1
        seen += page["processes"]
        if "next" not in rels(page):
            break
        page = follow(api, rels(page)["next"]).json()
    assert seen == api.get("/processes").json()["processes"]
    process = follow(api, rels(seen[0])["self"]).json()
    assert rels(process)[f"{OGC}/execute"]["href"] == f"{HERE}/processes/{process['id']}/execution"
    assert (process["jobControlOptions"], process["outputTransmission"]) == (
        ["async-execute", "dismiss"],
        ["reference"],
    )
    assert api.get("/processes?limit=0").status_code == 400


@pytest.mark.parametrize("prefer", [None, "respond-async", "respond-async, wait=5", "wait=10", "respond-sync"])
def test_every_preference_is_answered_by_a_job_as_the_process_only_knows_jobs(api: Api, prefer: str | None) -> None:
    headers = {"prefer": prefer} if prefer else {}
    answer = api.ask("POST", EXECUTION, json=EXECUTE, headers=headers)
    assert (answer.status_code, answer.headers["preference-applied"]) == (201, "respond-async")
    body = answer.json()
    assert answer.headers["location"] == f"{HERE}/jobs/{body['jobID']}"
    links = rels(body)
    assert {"self", "up", "monitor"} <= set(links)
    assert links["self"]["href"] == answer.headers["location"]
    assert follow(api, links["self"]).json()["jobID"] == body["jobID"]
    assert follow(api, links["up"]).json()["id"] == LCZ
    assert links["monitor"]["type"] == "text/event-stream"


def test_links_of_a_job_lead_to_its_results_or_its_exception(api: Api) -> None:
    done, failed = new_job(api.store), new_job(api.store)
    finish(api.store, done, {"map": ("map.tif", "image/tiff", b"123")})
    api.store.fail(failed, CityzonesError("KeyError"))
    results = rels(api.get(f"/jobs/{done}").json())[f"{OGC}/results"]
    assert follow(api, results).json()["map"]["type"] == "image/tiff"
    why = rels(api.get(f"/jobs/{failed}").json())[f"{OGC}/exceptions"]
    assert follow(api, why).headers["content-type"] == why["type"]


def test_exceptions_have_the_standards_types(api: Api) -> None:
    for method, path in (("GET", "/processes/volcanoes"), ("POST", "/processes/volcanoes/execution")):
        found = problem(api.ask(method, path, json=EXECUTE), 404, "unknown-process")
        assert found["type"] == f"{EXCEPTION}/no-such-process"
    for method, path in (("GET", "/jobs/none"), ("GET", "/jobs/none/results"), ("DELETE", "/jobs/none")):
        assert problem(api.ask(method, path), 404, "unknown-job")["type"] == f"{EXCEPTION}/no-such-job"
    early = problem(api.get(f"/jobs/{new_job(api.store)}/results"), 404, "result-not-ready")
    assert early["type"] == f"{EXCEPTION}/result-not-ready"


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"response": "raw"}, "/response"),
        ({"outputs": {"map": {"transmissionMode": "value"}}}, "/outputs/map/transmissionMode"),
        ({"outputs": {"map": {"format": {"mediaType": "image/png"}}}}, "/outputs/map/format/mediaType"),
        ({"outputs": {"painting": {}}}, "/outputs/painting"),
    ],
)
def test_ways_to_answer_that_are_not_offered_are_refused_by_name(api: Api, asked: dict[str, Any], pointer: str) -> None:
    body = problem(api.execute(EXECUTE | asked), 422, "invalid-request")
    assert [fault["pointer"] for fault in body["errors"]] == [pointer]


@pytest.mark.parametrize(
    "choice",
    [{}, {"transmissionMode": "reference"}, {"format": {"mediaType": "image/tiff"}}, {"format": {}}],
)
def test_outputs_may_be_chosen_the_standards_way(api: Api, choice: dict[str, Any]) -> None:
    answer = api.execute(EXECUTE | {"response": "document", "outputs": {"map": choice}})
    assert answer.status_code == 201, answer.text


def test_the_lists_filters_are_told(api: Api) -> None:
    told = api.get("/openapi.json").json()["paths"]["/jobs"]["get"]["parameters"]
    names = {parameter["name"] for parameter in told if parameter["in"] == "query"}
    assert {"limit", "type", "processID", "status", "datetime", "minDuration", "maxDuration"} <= names
