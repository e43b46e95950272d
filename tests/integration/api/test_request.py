"""What a job was asked, told again: without what is secret, in every state, and fit to be sent once more."""

from __future__ import annotations

import httpx

from jobs.keys import KeyStore
from jobs.request import parse_execute
from jobs.settings import Settings
from jobs.storage import Storage
from models.errors import CityzonesError
from tests.servers.api import EXECUTE, LCZ, Api, finish, new_job, problem

SECRET = "https://hooks.example.org/done?token=s3cret"


def told(api: Api, job: str) -> httpx.Response:
    answer = api.get(f"/jobs/{job}/request")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), answer.text
    return answer


def test_the_request_comes_back_and_can_be_sent_again(api: Api) -> None:
    created = api.execute().json()
    body = told(api, created["jobID"]).json()
    assert (body["jobID"], body["processID"]) == (created["jobID"], LCZ)
    assert body["created"] == created["created"]
    for name, asked in EXECUTE["inputs"].items():
        assert body["execute"]["inputs"][name] == asked
    again = api.execute(body["execute"])
    assert again.status_code == 201
    assert told(api, again.json()["jobID"]).json()["execute"] == body["execute"]
    links = {link["rel"]: link["href"] for link in created["links"]}
    assert links["describedby"].endswith(f"/jobs/{created['jobID']}/request")


def test_addresses_of_callbacks_are_not_told(api: Api) -> None:
    execute = parse_execute(EXECUTE | {"subscriber": {"successUri": SECRET}})
    answer = told(api, api.store.create(LCZ, execute).job)
    assert "s3cret" not in answer.text
    assert set(answer.json()["execute"]) == {"inputs"}


def test_it_is_told_in_every_state_until_the_last_trace_is_gone(api: Api) -> None:
    done, failed, dismissed, running, forgotten = (new_job(api.store) for _ in range(5))
    finish(api.store, done, {})
    api.store.fail(failed, CityzonesError("it failed"))
    api.store.dismiss(dismissed)
    for job in (done, failed, dismissed, running):
        assert told(api, job).json()["execute"] == api.store.request(job).execute
    api.store.dismiss(forgotten)
    api.store.forget(forgotten)
    problem(api.get(f"/jobs/{forgotten}/request"), 404, "unknown-job")
    problem(api.get(f"/jobs/job_{'0' * 26}/request"), 404, "unknown-job")


def test_no_link_opens_it_and_no_other_tenant(settings: Settings) -> None:
    api = Api(settings.model_copy(update={"auth": "keys"}))
    job, keys = new_job(api.store), KeyStore(Storage(settings))
    owner, other = ({"X-API-Key": keys.create(tenant, ["read"]).text} for tenant in ("public", "other"))
    path = f"/jobs/{job}/request"
    assert api.get(path, headers=owner).status_code == 200
    problem(api.get(path, headers=other), 404, "unknown-job")
    problem(api.get(path), 401, "unauthorized")
    problem(api.get(f"{path}?expires=1&signature=b", headers=owner), 400, "invalid-parameter")
