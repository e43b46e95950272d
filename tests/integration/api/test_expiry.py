"""What is kept as long as was told: data go first, records later, and everything says so."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from jobs import expiry
from jobs.record import now
from jobs.request import parse_execute
from tests.servers.api import EXECUTE, LCZ, Api, finish, new_job, problem

OUTPUTS = {"map": ("map.tif", "image/tiff", b"123")}


def days_later(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Let the clock of records and of the calendar run ahead."""
    moved = now() + timedelta(days=days)
    for name in ("jobs.record.now", "jobs.expiry.now"):
        monkeypatch.setattr(name, lambda: moved)


def test_data_go_on_the_day_that_was_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job = new_job(api.store)
    finish(api.store, job, OUTPUTS)
    told = api.get(f"/jobs/{job}").json()["deletes"]
    assert date.fromisoformat(told[:10]) == (now() + timedelta(days=api.settings.job_days)).date()
    link = api.get(f"/jobs/{job}/results").json()["map"]
    assert link["deletes"] == told
    assert link["expires"] < told
    days_later(monkeypatch, api.settings.job_days - 1)
    assert expiry.expire_jobs(api.store) == []
    days_later(monkeypatch, api.settings.job_days + 2)
    gone = problem(api.get(f"/jobs/{job}/results"), 410, "results-deleted")
    assert told[:10] in gone["detail"]
    assert [due.job for due in expiry.expire_jobs(api.store)] == [job]
    assert expiry.expire_jobs(api.store) == []
    assert not api.store.storage.keys(f"jobs/{job}/outputs")
    status = api.get(f"/jobs/{job}").json()
    assert status["status"] == "successful"
    assert "deleted on" in status["message"]
    assert not any("results" in link["rel"] for link in status["links"])


def test_records_go_in_the_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job, other = new_job(api.store), new_job(api.store)
    finish(api.store, job, OUTPUTS)
    days_later(monkeypatch, api.settings.record_days + 2)
    assert {due.what for due in expiry.expire_jobs(api.store)} == {"data", "record"}
    problem(api.get(f"/jobs/{job}"), 404, "unknown-job")
    assert not api.store.storage.keys(f"jobs/{job}")
    assert [j["jobID"] for j in api.get("/jobs").json()["jobs"]] == [other]


def test_data_that_a_running_job_reads_are_left(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    source = new_job(api.store)
    finish(api.store, source, OUTPUTS)
    again = api.store.create(LCZ, parse_execute({"inputs": {"imagery": {"job": source}}})).job
    days_later(monkeypatch, api.settings.job_days + 2)
    assert expiry.expire_jobs(api.store) == []
    finish(api.store, again, OUTPUTS)
    assert source in {due.job for due in expiry.expire_jobs(api.store)}


def test_a_job_whose_data_are_gone_is_no_imagery(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    source = new_job(api.store)
    finish(api.store, source, OUTPUTS)
    days_later(monkeypatch, api.settings.job_days + 2)
    refused = problem(api.execute({"inputs": {"imagery": {"job": source}}}), 422, "invalid-request")
    assert "were deleted on" in refused["detail"]


def test_dismissed_and_failed_jobs_are_forgotten_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dismissed = api.execute(EXECUTE).json()["jobID"]
    api.ask("DELETE", f"/jobs/{dismissed}")
    days_later(monkeypatch, api.settings.record_days + 2)
    expiry.expire_jobs(api.store)
    assert not api.store.storage.keys("jobs")
    assert not api.store.storage.keys("due")
    assert not api.store.storage.keys("tenants/public/jobs")
