"""A job as the interface shows it: created, queued, listed, followed, ended, dismissed."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from jobs.queue import INTERACTIVE, make_app
from jobs.record import now
from jobs.work import PLAN
from models.errors import CityzonesError, Fault
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import EXECUTE, LCZ, Api, finish, new_job, problem, write_image


def test_a_job_is_kept_before_it_is_told_and_waits_in_the_queue(api: Api, valkey: EmbeddedValkey) -> None:
    answer = api.execute()
    assert answer.status_code == 201
    body = answer.json()
    assert answer.headers["location"] == f"http://127.0.0.1/jobs/{body['jobID']}"
    assert answer.headers["preference-applied"] == "respond-async"
    assert (body["status"], body["type"], body["processID"]) == ("accepted", "process", LCZ)
    kept = api.store.request(body["jobID"])
    assert kept.execute["inputs"]["aoi"] == EXECUTE["inputs"]["aoi"]
    assert kept.execute["inputs"]["model"] in {m["id"] for m in api.get(f"/processes/{LCZ}").json()["models"]}
    message = json.loads(redis.Redis.from_url(valkey.url(0)).lindex(INTERACTIVE, 0))
    assert message["headers"]["task"] == PLAN
    assert message["headers"]["argsrepr"] == f"['{body['jobID']}']"
    status = api.get(f"/jobs/{body['jobID']}")
    assert status.json()["jobID"] == body["jobID"]
    assert status.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("bbox", "queue"), [([13.36, 52.50, 13.42, 52.53], INTERACTIVE), ([13.3, 52.4, 13.5, 52.6], "jobs")]
)
def test_small_jobs_wait_in_a_queue_of_their_own(api: Api, bbox: list[float], queue: str) -> None:
    body = {"inputs": EXECUTE["inputs"] | {"aoi": {"bbox": bbox}}}
    job = api.execute(body).json()["jobID"]
    with make_app(api.settings).connection_for_read() as connection:
        message = connection.SimpleQueue(queue).get(timeout=5)
        assert message.payload[0] == [job]
        message.ack()


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


def test_jobs_are_listed_newest_first_page_by_page(api: Api) -> None:
    made = [new_job(api.store) for _ in range(5)]
    seen: list[str] = []
    path = "/jobs?limit=2"
    while path:
        page = api.get(path).json()
        assert len(page["jobs"]) <= 2
        seen += [job["jobID"] for job in page["jobs"]]
        further = [link["href"] for link in page["links"] if link["rel"] == "next"]
        path = further[0].removeprefix("http://127.0.0.1") if further else ""
    assert sorted(seen) == sorted(made)
    assert seen == sorted(seen, reverse=True)
    problem(api.get("/jobs?before=..%2f.."), 400, "invalid-parameter")


def listed(api: Api, query: str) -> list[str]:
    return [job["jobID"] for job in api.get(f"/jobs?{query}").json()["jobs"]]


def test_jobs_are_found_by_the_standards_filters(api: Api) -> None:
    waiting, failed, done = (new_job(api.store) for _ in range(3))
    api.store.live.update(done, state="running", started=(now() - timedelta(seconds=60)).isoformat())
    finish(api.store, done, {"map": ("map.tif", "image/tiff", b"1")})
    api.store.fail(failed, CityzonesError("no"))
    made = api.store.request(waiting).created
    assert listed(api, "status=successful&status=failed") == [done, failed]
    assert listed(api, "status=accepted&type=process") == [waiting]
    assert listed(api, "minDuration=30") == [done]
    assert set(listed(api, "maxDuration=30")) == {failed}
    assert listed(api, "processID=land-cover") == []
    assert len(listed(api, f"processID={LCZ}&datetime={made:%Y-%m-%dT%H:%M:%SZ}/..")) == 3
    assert len(listed(api, f"datetime=../{made + timedelta(seconds=60):%Y-%m-%dT%H:%M:%SZ}")) == 3
    assert listed(api, "datetime=2020-01-01/2020-02-01") == []
    assert listed(api, f"datetime=../{made - timedelta(seconds=60):%Y-%m-%dT%H:%M:%SZ}") == []
    for wrong in ("datetime=yesterday", "datetime=2020-02-01/2020-01-01", "status=lost", "limit=0", "colour=red"):
        problem(api.get(f"/jobs?{wrong}"), 400, "invalid-parameter")


def test_pages_keep_the_filters(api: Api) -> None:
    made = [new_job(api.store) for _ in range(5)]
    api.store.fail(made[2], CityzonesError("no"))
    page = api.get("/jobs?status=accepted&limit=3").json()
    further = next(link["href"] for link in page["links"] if link["rel"] == "next")
    rest = api.get(further.removeprefix("http://127.0.0.1")).json()
    assert [j["jobID"] for j in page["jobs"] + rest["jobs"]] == [m for m in reversed(made) if m != made[2]]


def test_progress_shows_in_the_status(api: Api) -> None:
    job = new_job(api.store)
    api.store.live.update(job, state="running", phase="mapping", started=now().isoformat(), blocks_total=4)
    api.store.live.block_done(job, "r0c0")
    body = api.get(f"/jobs/{job}").json()
    assert (body["status"], body["message"], body["progress"]) == ("running", "mapping", 23)
    assert body["blocks"] == {"done": 1, "total": 4}
    ready = problem(api.get(f"/jobs/{job}/results"), 404, "result-not-ready")
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
    fetched = api.get(link["href"].removeprefix("http://127.0.0.1"))
    assert (fetched.status_code, fetched.content) == (200, b"123")


def test_a_failed_job_answers_with_its_own_problem(api: Api) -> None:
    class Sunless(CityzonesError):
        code = "no-imagery"

    job = new_job(api.store)
    api.store.fail(job, Sunless("no scene is clear enough", faults=[Fault("/inputs/imagery", "0 of 9 scenes")]))
    status = api.get(f"/jobs/{job}").json()
    assert status["status"] == "failed"
    assert status["problem"]["code"] == "no-imagery"
    body = problem(api.get(f"/jobs/{job}/results"), 422, "no-imagery")
    assert body["detail"] == "no scene is clear enough"
    assert body["errors"][0]["pointer"] == "/inputs/imagery"


def test_a_job_that_died_of_the_unforeseen_shows_no_text_of_it(api: Api) -> None:
    job = new_job(api.store)
    api.store.fail(job, CityzonesError("KeyError: '/var/secret'"))
    answer = api.get(f"/jobs/{job}/results")
    problem(answer, 500, "internal")
    assert "secret" not in answer.text


def test_dismissing_stops_deletes_and_may_be_repeated(api: Api) -> None:
    job = new_job(api.store)
    finish(api.store, job, {"map": ("map.tif", "image/tiff", b"123")})
    for _ in range(2):
        answer = api.ask("DELETE", f"/jobs/{job}")
        assert (answer.status_code, answer.json()["status"]) == (200, "dismissed")
    assert api.store.storage.keys(f"jobs/{job}/outputs") == []
    problem(api.get(f"/jobs/{job}/results"), 410, "job-dismissed")


def test_a_folder_that_cannot_be_read_is_told(api: Api) -> None:
    job = new_job(api.store)
    (Path(api.settings.storage_url.removeprefix("file://")) / f"jobs/{job}/result.json").mkdir()
    problem(api.get(f"/jobs/{job}"), 503, "storage-unavailable")


@pytest.mark.parametrize("process", [LCZ, "annotation-project"])
def test_a_title_is_told_wherever_the_job_is(api: Api, down: Api, tmp_path: Path, process: str) -> None:
    inputs = EXECUTE["inputs"]
    if process != LCZ:
        tile = write_image(tmp_path / "tile.tif", bands=3, dtype="uint8", side=(300, 300))
        inputs = {"tiles": [api.upload(tile).json()["upload"]]}
    told = api.execute({"inputs": inputs | {"title": "Łódź, spring"}}, process).json()
    bare = api.execute({"inputs": inputs}, process).json()
    assert (told["title"], "title" in bare) == ("Łódź, spring", False)
    for asked in (api, down):  # the same storage, and no Redis
        found = {one["jobID"]: one.get("title") for one in asked.get("/jobs").json()["jobs"]}
        assert found == {told["jobID"]: "Łódź, spring", bare["jobID"]: None}
        assert asked.get(f"/jobs/{told['jobID']}").json()["title"] == "Łódź, spring"
    api.store.fail(told["jobID"], CityzonesError("no"))
    assert '"title":"Łódź, spring"' in api.get(f"/jobs/{told['jobID']}/events").text


@pytest.mark.parametrize("title", ["", " ", "a" * 201, "two\nlines", "bell\x07", "\u2028", 7, ["a"]])
def test_a_title_is_one_line(api: Api, title: object) -> None:
    body = problem(api.execute({"inputs": EXECUTE["inputs"] | {"title": title}}), 422, "invalid-request")
    assert body["errors"][0]["pointer"] == "/inputs/title"
