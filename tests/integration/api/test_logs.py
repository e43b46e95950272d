"""What happened to a job: its log, and its status as a stream of events."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest

from jobs.errors import TooManyStreams
from jobs.logs import MOST_LINES
from models.errors import CityzonesError
from service import events
from tests.servers.api import Api, finish, new_job, problem

OUTPUTS = {"map": ("map.tif", "image/tiff", b"123")}


def lines_of(api: Api, job: str, query: str = "") -> list[dict[str, Any]]:
    return list(api.get(f"/jobs/{job}/logs{query}").json()["lines"])


def parsed(text: str) -> list[dict[str, str]]:
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    return [block for block in blocks if "event" in block]


def test_a_log_is_read_page_by_page(api: Api) -> None:
    job = new_job(api.store)
    assert lines_of(api, job) == []
    for number in range(5):
        api.store.logs.write(job, f"r0c{number}", "mapped", level="info")
    page = api.get(f"/jobs/{job}/logs?limit=3").json()
    assert [line["number"] for line in page["lines"]] == [1, 2, 3]
    assert page["lines"][0]["step"] == "r0c0"
    further = next(link["href"] for link in page["links"] if link["rel"] == "next")
    rest = api.get(further.removeprefix("http://127.0.0.1")).json()
    assert [line["number"] for line in rest["lines"]] == [4, 5]
    assert not [link for link in rest["links"] if link["rel"] == "next"]
    problem(api.get(f"/jobs/{job}/logs?limit=0"), 400, "invalid-parameter")


@pytest.mark.parametrize("end", ["finished", "failed", "dismissed"])
def test_a_log_outlives_redis_once_the_job_has_ended(api: Api, end: str) -> None:
    job = new_job(api.store)
    api.store.logs.write(job, "plan", "9 blocks")
    if end == "finished":
        finish(api.store, job, OUTPUTS)
    elif end == "failed":
        api.store.fail(job, CityzonesError("no scene is clear"))
    else:
        api.store.dismiss(job)
    api.store.live.forget(job)
    told = lines_of(api, job)
    assert told[0]["step"] == "plan"
    assert end in told[-1]["message"]
    assert (told[-1]["level"] == "error") == (end == "failed")


def test_a_log_has_an_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job = new_job(api.store)
    monkeypatch.setattr("jobs.logs.MOST_LINES", 10)
    for number in range(15):
        api.store.logs.write(job, "plan", str(number))
    assert [line["message"] for line in lines_of(api, job)] == [str(n) for n in range(5, 15)]
    assert MOST_LINES >= 1000


def test_without_redis_lines_are_lost_and_nothing_else(down: Api) -> None:
    job = new_job(down.store)
    down.store.logs.write(job, "plan", "9 blocks")
    assert lines_of(down, job) == []


def test_events_follow_a_job_to_its_end(api: Api) -> None:
    job = new_job(api.store)

    def work() -> None:
        time.sleep(0.5)
        api.store.live.update(job, state="running", phase="mapping", blocks_total=2)
        time.sleep(1.2)
        finish(api.store, job, OUTPUTS)

    thread = threading.Thread(target=work)
    thread.start()
    answer = api.get(f"/jobs/{job}/events")
    thread.join()
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = parsed(answer.text)
    states = [json.loads(event["data"])["status"] for event in told]
    assert states[0] == "accepted"
    assert states[-1] == "successful"
    assert "running" in states
    assert json.loads(told[-1]["data"]) == api.get(f"/jobs/{job}").json()
    assert len({event["id"] for event in told}) == len(told)


def test_a_client_that_comes_again_gets_only_what_it_missed(api: Api) -> None:
    job = new_job(api.store)
    finish(api.store, job, OUTPUTS)
    last = parsed(api.get(f"/jobs/{job}/events").text)[-1]["id"]
    again = api.get(f"/jobs/{job}/events", headers={"Last-Event-ID": "seen-something-else"})
    assert parsed(again.text)[-1]["id"] == last
    done = api.get(f"/jobs/{job}/events", headers={"Last-Event-ID": last})
    assert (done.status_code, done.content) == (204, b"")


def test_streams_are_bounded(api: Api) -> None:
    job = new_job(api.store)
    streams: events.Streams = api.app.state.streams
    streams.most = 1

    async def two() -> httpx.Response:
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url=api.settings.public_url) as client:
            first = asyncio.create_task(client.get(f"/jobs/{job}/events"))
            await asyncio.sleep(0.5)
            refused = await client.get(f"/jobs/{job}/events")
            api.store.dismiss(job)
            await first
            return refused

    refused = asyncio.run(two())
    problem(refused, 503, "too-many-streams")
    assert "retry-after" in refused.headers
    assert streams.open.total() == 0


def test_a_tenant_with_many_streams_leaves_some_to_others() -> None:
    streams = events.Streams(most=12)
    taken = Counter[str]()
    with ExitStack() as exits:
        for tenant in ("greedy", "second", "third", "greedy"):
            with suppress(TooManyStreams):
                while True:
                    streams.check(tenant)
                    exits.enter_context(streams.one(tenant))
                    taken[tenant] += 1
        assert taken == {"greedy": 6, "second": 3, "third": 2}
    streams.check("greedy")
    assert streams.open.total() == 0
