from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import yaml
from jsonschema import Draft4Validator, Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from jobs.queue import PLAN, make_app
from jobs.record import now
from jobs.settings import Settings
from models.errors import CityzonesError, Fault
from service.app import create_app
from service.examples import EXECUTE_EXAMPLES
from service.problems import PROBLEMS
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import EXECUTE, LCZ, finish, new_job, settings_in, store_of, write_image

PROBLEM = "application/problem+json"
GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"PARCEL_ID": "7"},
            "geometry": {"type": "Polygon", "coordinates": [[[13, 52], [13.1, 52], [13.1, 52.1], [13, 52]]]},
        }
    ],
}


class Api:
    """The application in this process, asked one request at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app = create_app(settings)
        self.store = store_of(settings)

    def ask(self, method: str, path: str, **told: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver", timeout=60) as client:
                return await client.request(method, path, **told)

        return asyncio.run(run())

    def get(self, path: str, **told: Any) -> httpx.Response:
        return self.ask("GET", path, **told)

    def execute(self, body: Any = EXECUTE, process: str = LCZ) -> httpx.Response:
        return self.ask("POST", f"/processes/{process}/execution", json=body)

    def upload(self, path: Path) -> httpx.Response:
        return self.ask("POST", "/uploads", files={"file": (path.name, path.read_bytes())})


@pytest.fixture(scope="module")
def valkey() -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey() as valkey:
        yield valkey


@pytest.fixture
def settings(valkey: EmbeddedValkey, tmp_path: Path) -> Settings:
    redis.Redis.from_url(valkey.url(0)).flushall()
    return settings_in(tmp_path, broker_url=valkey.broker_url(0), live_url=valkey.url(1))


@pytest.fixture
def api(settings: Settings) -> Api:
    return Api(settings)


@pytest.fixture
def down(tmp_path: Path) -> Api:
    """The interface while the queue is away."""
    return Api(settings_in(tmp_path))


def _problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["instance"].startswith("/")
    return body


def test_a_job_is_kept_before_it_is_told_and_waits_in_the_queue(api: Api, valkey: EmbeddedValkey) -> None:
    answer = api.execute()
    assert answer.status_code == 201
    body = answer.json()
    assert answer.headers["location"] == f"http://testserver/jobs/{body['jobID']}"
    assert answer.headers["preference-applied"] == "respond-async"
    assert (body["status"], body["type"], body["processID"]) == ("accepted", "process", LCZ)
    kept = api.store.request(body["jobID"])
    assert kept.execute["inputs"]["aoi"] == EXECUTE["inputs"]["aoi"]
    assert kept.execute["inputs"]["model"] in {m["id"] for m in api.get(f"/processes/{LCZ}").json()["models"]}
    message = json.loads(redis.Redis.from_url(valkey.url(0)).lindex("jobs", 0))
    assert message["headers"]["task"] == PLAN
    assert message["headers"]["argsrepr"] == f"('{body['jobID']}',)"
    status = api.get(f"/jobs/{body['jobID']}")
    assert status.json()["jobID"] == body["jobID"]
    assert status.headers["retry-after"] == "1"


def test_without_a_queue_the_job_still_exists(down: Api) -> None:
    answer = down.execute()
    assert answer.status_code == 201
    assert "queue does not answer" in answer.json()["message"]
    job = answer.json()["jobID"]
    assert down.store.request(job).process == LCZ
    assert down.get(f"/jobs/{job}").json()["warnings"][0]["code"] == "progress-unknown"


def test_a_queue_that_is_away_does_not_hold_up_a_list_of_jobs(down: Api) -> None:
    for _ in range(20):
        new_job(down.store)
    started = time.monotonic()
    assert len(down.get("/jobs").json()["jobs"]) == 20
    assert time.monotonic() - started < 8


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
    body = _problem(api.execute({"inputs": EXECUTE["inputs"] | inputs}), 422, code)
    assert pointer in [fault["pointer"] for fault in body["errors"]]
    assert api.get("/jobs").json()["jobs"] == []


def test_bodies_http_refuses(api: Api) -> None:
    path, kind = f"/processes/{LCZ}/execution", {"content-type": "application/json"}
    _problem(api.ask("POST", path, content=b"{", headers=kind), 400, "malformed-json")
    _problem(api.ask("POST", path, content=b"[]", headers=kind), 422, "invalid-request")
    _problem(
        api.ask("POST", path, content=b"{}", headers={"content-type": "text/plain"}), 415, "unsupported-media-type"
    )
    huge = b'{"a":"' + b"x" * api.settings.max_body_bytes + b'"}'
    _problem(api.ask("POST", path, content=huge, headers=kind), 413, "body-too-large")
    no_process = _problem(api.execute(process="volcanoes"), 404, "unknown-process")
    assert no_process["type"].endswith("/1.0/no-such-process")


def test_framework_errors_are_problems_too(api: Api) -> None:
    _problem(api.get("/nowhere"), 404, "not-found")
    wrong = api.ask("PUT", f"/jobs/{new_job(api.store)}")
    _problem(wrong, 405, "method-not-allowed")
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "DELETE"}
    body = _problem(api.get("/jobs?limit=0"), 400, "invalid-parameter")
    assert body["errors"][0]["pointer"] == "limit"


@pytest.mark.parametrize("job", ["x", "job_", "%2e%2e", "job_01jd5x3v8r7q2m9k4n6p0w1y5z", "job_" + "a" * 5000])
def test_unknown_jobs_are_the_standards_problem(api: Api, job: str) -> None:
    for method, path in (("GET", f"/jobs/{job}"), ("GET", f"/jobs/{job}/results"), ("DELETE", f"/jobs/{job}")):
        assert _problem(api.ask(method, path), 404, "unknown-job")["type"].endswith("/1.0/no-such-job")


def test_jobs_are_listed_newest_first_page_by_page(api: Api) -> None:
    made = [new_job(api.store) for _ in range(5)]
    seen: list[str] = []
    path = "/jobs?limit=2"
    while path:
        page = api.get(path).json()
        assert len(page["jobs"]) <= 2
        seen += [job["jobID"] for job in page["jobs"]]
        further = [link["href"] for link in page["links"] if link["rel"] == "next"]
        path = further[0].removeprefix("http://testserver") if further else ""
    assert sorted(seen) == sorted(made)
    assert seen == sorted(seen, reverse=True)
    assert api.get("/jobs?before=..%2f..").status_code == 404


def test_progress_shows_in_the_status(api: Api) -> None:
    job = new_job(api.store)
    api.store.live.update(job, state="running", phase="mapping", started=now().isoformat(), blocks_total=4)
    api.store.live.block_done(job, "r0c0")
    body = api.get(f"/jobs/{job}").json()
    assert (body["status"], body["message"], body["progress"]) == ("running", "mapping", 23)
    assert body["blocks"] == {"done": 1, "total": 4}
    ready = _problem(api.get(f"/jobs/{job}/results"), 404, "result-not-ready")
    assert ready["type"].endswith("/1.0/result-not-ready")


def test_results_are_links_that_work(api: Api) -> None:
    job = new_job(api.store)
    finish(api.store, job, {"map": ("map.tif", "image/tiff", b"123"), "preview": ("p.png", "image/png", b"4")})
    status = api.get(f"/jobs/{job}").json()
    assert (status["status"], status["progress"]) == ("successful", 100)
    assert status["warnings"][0]["code"] == "few-scenes"
    found = api.get(f"/jobs/{job}/results").json()
    assert set(found) == {"map", "preview"}
    link = found["map"]
    assert (link["type"], link["title"], link["file:size"]) == ("image/tiff", "map", 3)
    assert link["file:checksum"] == "1220a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3"
    fetched = api.get(link["href"].removeprefix("http://testserver"))
    assert (fetched.status_code, fetched.content) == (200, b"123")


def test_a_failed_job_answers_with_its_own_problem(api: Api) -> None:
    class Sunless(CityzonesError):
        code = "no-imagery"

    job = new_job(api.store)
    api.store.fail(job, Sunless("no scene is clear enough", faults=[Fault("/inputs/imagery", "0 of 9 scenes")]))
    status = api.get(f"/jobs/{job}").json()
    assert status["status"] == "failed"
    assert status["problem"]["code"] == "no-imagery"
    body = _problem(api.get(f"/jobs/{job}/results"), 422, "no-imagery")
    assert body["detail"] == "no scene is clear enough"
    assert body["errors"][0]["pointer"] == "/inputs/imagery"


def test_a_job_that_died_of_the_unforeseen_shows_no_text_of_it(api: Api) -> None:
    job = new_job(api.store)
    api.store.fail(job, CityzonesError("KeyError: '/var/secret'"))
    answer = api.get(f"/jobs/{job}/results")
    _problem(answer, 500, "internal")
    assert "secret" not in answer.text


def test_dismissing_stops_deletes_and_may_be_repeated(api: Api) -> None:
    job = new_job(api.store)
    finish(api.store, job, {"map": ("map.tif", "image/tiff", b"123")})
    for _ in range(2):
        answer = api.ask("DELETE", f"/jobs/{job}")
        assert (answer.status_code, answer.json()["status"]) == (200, "dismissed")
    assert api.store.storage.keys(f"jobs/{job}/outputs") == []
    _problem(api.get(f"/jobs/{job}/results"), 410, "job-dismissed")


def test_uploads_are_judged_kept_described_and_deleted(api: Api, tmp_path: Path) -> None:
    image = write_image(tmp_path / "Städtchen.tif", bands=3)
    answer = api.upload(image)
    assert answer.status_code == 201, answer.text
    record = answer.json()
    assert answer.headers["location"] == f"http://testserver/uploads/{record['upload']}"
    assert (record["kind"], record["filename"], record["size"]) == ("image", "Städtchen.tif", image.stat().st_size)
    assert record["facts"]["count"] == 3
    assert api.store.storage.get(record["key"]) == image.read_bytes()
    assert not list((tmp_path / "scratch").iterdir())
    assert api.get(f"/uploads/{record['upload']}").json() == record
    assert api.ask("DELETE", f"/uploads/{record['upload']}").status_code == 204
    _problem(api.get(f"/uploads/{record['upload']}"), 404, "unknown-upload")
    assert api.store.storage.get(record["key"]) is None


def test_uploads_of_the_wrong_kind_are_pointed_at(api: Api, tmp_path: Path) -> None:
    (tmp_path / "p.geojson").write_text(json.dumps(GEOJSON))
    vector = api.upload(tmp_path / "p.geojson").json()
    image = api.upload(write_image(tmp_path / "i.tif")).json()
    assert (vector["kind"], image["kind"]) == ("vector", "image")
    swapped = {"imagery": {"uploads": [vector["upload"]]}, "parcels": {"upload": image["upload"]}}
    body = _problem(api.execute({"inputs": swapped}), 422, "invalid-request")
    assert [f["pointer"] for f in body["errors"]] == ["/inputs/imagery/uploads/0", "/inputs/parcels/upload"]
    right = {"imagery": {"uploads": [image["upload"]]}, "parcels": {"upload": vector["upload"]}}
    assert api.execute({"inputs": right}).status_code == 201


@pytest.mark.parametrize(
    ("data", "status"), [(b"MZ\x90\x00", 415), (b"<VRTDataset/>", 415), (b"", 415), (b"II*\x00" + b"\0" * 50, 422)]
)
def test_files_that_cannot_be_used_are_refused_and_not_kept(api: Api, tmp_path: Path, data: bytes, status: int) -> None:
    (tmp_path / "image.tif").write_bytes(data)
    answer = api.upload(tmp_path / "image.tif")
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    assert api.store.storage.keys("uploads") == []


def test_a_file_over_the_limit_is_refused(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    api = Api(settings_in(tmp_path, max_upload_bytes=1000))
    (tmp_path / "big.tif").write_bytes(b"II*\x00" + b"x" * 3000)
    _problem(api.upload(tmp_path / "big.tif"), 413, "upload-too-large")


def test_storage_that_is_away_is_a_503_that_tells_nothing_inside(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api.get("/jobs")
    (tmp_path / "store").rename(tmp_path / "moved")
    (tmp_path / "store").write_text("a file where the folder was")
    with caplog.at_level(logging.INFO):
        answer = api.execute()
    body = _problem(answer, 503, "storage-unavailable")
    assert answer.headers["retry-after"] == "5"
    assert str(tmp_path) not in answer.text
    assert body["reference"] in caplog.text
    parts = _problem(api.get("/readyz"), 503, "not-ready")["parts"]
    assert parts["storage"] != "ok"
    assert parts["queue"] == "ok"


def test_readiness_names_the_part_that_fails(api: Api, down: Api) -> None:
    parts = _problem(api.get("/readyz"), 503, "not-ready")["parts"]
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


def test_the_landing_page_is_for_programs_and_for_people(api: Api) -> None:
    body = api.get("/").json()
    for link in body["links"]:
        assert api.get(link["href"].removeprefix("http://testserver")).status_code in {200, 503}
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


def test_the_queue_is_the_one_workers_listen_to(api: Api) -> None:
    job = api.execute().json()["jobID"]
    with make_app(api.settings).connection_for_read() as connection:
        message = connection.SimpleQueue("jobs").get(timeout=5)
        assert message.payload[0] == [job]
        message.ack()


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
