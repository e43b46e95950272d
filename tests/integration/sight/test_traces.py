"""One trace a job: from the request, through every step, to every tile the model server is asked about."""

import json
from collections import Counter

import httpx
import pytest
import redis

from jobs.queue import PLAN, enqueue, make_app
from tests.journeys import PROCESS, finish, stac_inputs

CLIENTS = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, CLIENT = 2, 3


def of(spans, job):
    return [span for span in spans if span.attributes.get("cityzones.job") == job]


def whole(job, *, steps):
    return lambda spans: Counter(span.name for span in of(spans, job)) >= Counter(steps)


@pytest.fixture(scope="module")
def traced(seer, sample, receiver, collector):
    """A finished job of several blocks that told a subscriber, and the spans of its trace."""
    uris = {"successUri": f"{receiver.url}/success"}
    status = finish(seer, stac_inputs(sample) | {"outputs": ["map"]}, subscriber=uris)
    assert status["status"] == "successful", status
    job = status["jobID"]
    spans = collector.wait(whole(job, steps=["plan", "assemble", "callback"]))
    trace = next(span.trace for span in of(spans, job) if span.name == "plan")
    return status, [span for span in spans if span.trace == trace]


def test_a_job_is_one_trace_whose_root_is_its_request(traced, collector):
    status, trace = traced
    assert {span.trace for span in of(collector.spans, status["jobID"])} == {trace[0].trace}
    roots = [span for span in trace if not span.parent]
    assert [span.name for span in roots] == ["POST /processes/{process}/execution"]
    assert (roots[0].service, roots[0].kind) == ("cityzones", SERVER)
    ids = {span.id for span in trace}
    assert all(span.parent in ids for span in trace if span.parent), "every parent is there"
    assert len(ids) == len(trace)


def test_steps_are_below_the_request_and_tiles_below_their_block(traced):
    status, trace = traced
    job, blocks = status["jobID"], status["blocks"]["total"]
    assert blocks >= 2
    root = next(span for span in trace if not span.parent)
    steps = [span for span in trace if span.parent == root.id]
    assert Counter(span.name for span in steps) == {"plan": 1, "block": blocks, "assemble": 1, "callback": 1}
    assert all(span.attributes["cityzones.job"] == job for span in steps)
    assert all(span.attributes["cityzones.outcome"] == "done" for span in steps)
    assert {span.service for span in steps} == {"cityzones-worker"}
    mapped = {span.id: span.attributes["cityzones.block"] for span in steps if span.name == "block"}
    assert len(set(mapped.values())) == blocks
    tiles = [span for span in trace if span.name == "infer"]
    assert {span.parent for span in tiles} == set(mapped), "every block asked the model server"
    assert {(span.kind, span.attributes["cityzones.model"]) for span in tiles} == {(CLIENT, "magnet")}
    assert len(trace) == 1 + len(steps) + len(tiles)


def test_a_request_below_a_clients_span_continues_its_trace(seen, seer, sample, collector):
    body = {"inputs": stac_inputs(sample) | {"outputs": ["map"]}}
    headers = {"traceparent": f"00-{CLIENTS[0]}-{CLIENTS[1]}-01"}
    answer = httpx.post(f"{seer.url}/processes/{PROCESS}/execution", json=body, headers=headers)
    job = answer.raise_for_status().json()["jobID"]
    list(seer.watch(job))
    spans = collector.wait(whole(job, steps=["plan", "assemble"]))
    assert {span.trace for span in of(spans, job)} == {CLIENTS[0]}
    posted = next(span for span in spans if span.trace == CLIENTS[0] and span.kind == SERVER)
    assert posted.parent == CLIENTS[1]
    assert {span.parent for span in of(spans, job) if span.name != "infer"} == {posted.id}


def test_a_flushed_queue_breaks_no_trace(seen, seer, sample, collector):
    job = seer.submit(PROCESS, {"inputs": stac_inputs(sample) | {"outputs": ["map"]}})["jobID"]
    redis.Redis.from_url(seen.settings.live_url).flushall()
    enqueue(make_app(seen.settings), PLAN, job)  # as `cityzones recover` does, and as messages of old are
    list(seer.watch(job))
    assert seer.status(job)["status"] == "successful"
    spans = collector.wait(whole(job, steps=["plan", "assemble"]))
    assert len({span.trace for span in of(spans, job)}) == 1
    told = json.loads((seen.folder / "store" / "jobs" / job / "request.json").read_text())
    assert told["traceparent"].split("-")[1] == of(spans, job)[0].trace


def test_a_job_that_fails_says_so_in_its_trace(seer, sample, collector):
    inputs = stac_inputs(sample) | {"imagery": {"stac": {"collection": "no-such-collection", "datetime": "2001"}}}
    status = finish(seer, inputs)
    assert status["status"] == "failed", status
    spans = collector.wait(whole(status["jobID"], steps=["plan"]))
    [plan] = of(spans, status["jobID"])
    assert plan.error
    assert plan.attributes["cityzones.outcome"] == "failed"


def test_spans_hold_no_query(seen, seer, traced, collector):
    link = next(iter(seer.results(traced[0]["jobID"]).values()))["href"]
    assert "signature=" in link
    httpx.get(link).raise_for_status()
    spans = collector.wait(lambda spans: any("/files/" in span.name for span in spans))
    assert any("/files/" in span.name for span in spans)
    assert not [span for span in spans if "signature" in str(span.attributes) or "?" in str(span.attributes)]
