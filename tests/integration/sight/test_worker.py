"""A worker's metrics and probes over HTTP, its logs as JSON, and what they say when something is wrong."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.stack.process import GuardedProcess
from service.stack.valkey import EmbeddedValkey
from tests.journeys import finish, stac_inputs
from tests.servers.api import ROOT

IDS = re.compile(r"(job|upl|msg)_[0-9a-z]{10}|r\d{4}c\d{4}")


@pytest.fixture(scope="module")
def mapped(seer, sample):
    status = finish(seer, stac_inputs(sample) | {"outputs": ["map"]})
    assert status["status"] == "successful", status
    return status


def answer(seen, path):
    return httpx.get(f"http://127.0.0.1:{seen.settings.worker_port}{path}", timeout=10)


def samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found, name, **labels):
    return found.get((name, tuple(sorted(labels.items()))))


def test_a_worker_tells_what_its_processes_did(seen, mapped):
    text = answer(seen, "/metrics").raise_for_status().text
    found = samples(text)
    blocks = mapped["blocks"]["total"]
    assert value(found, "cityzones_step_seconds_count", step="block", outcome="done") >= blocks
    assert value(found, "cityzones_step_seconds_count", step="assemble", outcome="done") >= 1
    assert value(found, "cityzones_jobs_ended_total", process="local-climate-zones", state="successful") >= 1
    assert value(found, "cityzones_inference_seconds_count", model="magnet", outcome="done") >= blocks
    assert value(found, "cityzones_storage_seconds_count", operation="put", outcome="done") > blocks
    assert value(found, "cityzones_mapped_square_kilometres_total", process="local-climate-zones") > 1
    assert value(found, "cityzones_mapped_pixels_total", process="local-climate-zones") > 10_000
    assert value(found, "cityzones_worker_processes") >= 3  # the main one and two that work
    assert value(found, "cityzones_worker_resident_bytes") > 100e6
    assert not IDS.search(text), "no label holds an id"


def test_counts_stay_when_the_process_that_counted_dies(seen, mapped):
    before = samples(answer(seen, "/metrics").text)
    main = psutil.Process(seen.worker.guard_pid).children()[0]
    killed = [child.pid for child in main.children()]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    limit = time.monotonic() + 20
    while len([c for c in main.children() if c.pid not in killed]) < 2 and time.monotonic() < limit:
        time.sleep(0.1)
    after = samples(answer(seen, "/metrics").text)
    told = ("cityzones_step_seconds_count", (("outcome", "done"), ("step", "block")))
    assert after[told] >= before[told] > 0
    assert answer(seen, "/livez").status_code == 200


def test_a_worker_is_ready_while_all_it_needs_answers(seen, mapped):
    told = answer(seen, "/readyz").raise_for_status().json()
    assert told == {
        "status": "ready",
        "parts": {"storage": "ok", "queue": "ok", "inference": "ok", "listening": "ok"},
    }
    assert answer(seen, "/nothing").status_code == 404
    assert httpx.get(f"http://127.0.0.1:{seen.settings.worker_port + 1}/readyz").is_success  # the interactive one's


@pytest.mark.parametrize("log", ["worker.log", "interactive.log", "service.log"])
def test_every_line_of_a_log_is_json(seen, mapped, log):
    lines = (seen.logs / log).read_text().splitlines()
    assert lines
    for line in lines:
        told = json.loads(line)
        assert {"time", "level", "logger", "message"} <= set(told), line


def test_lines_of_a_job_name_it_its_block_and_its_trace(seen, mapped):
    job = mapped["jobID"]
    lines = [json.loads(line) for line in (seen.logs / "worker.log").read_text().splitlines()]
    own = [line for line in lines if line.get("job") == job]
    assert {line["step"] for line in own} >= {"plan", "block", "assemble"}
    assert len({line["block"] for line in own if line["step"] == "block"}) == mapped["blocks"]["total"]
    [trace] = {line["trace"] for line in own}
    posted = [json.loads(line) for line in (seen.logs / "service.log").read_text().splitlines()]
    [created] = [line for line in posted if f"{job} was created" in line["message"]]
    assert created["trace"] == trace
    assert len(created["request"]) == 16


class Worker:
    """A worker of its own, whose parts may be away."""

    def __init__(self, folder, **told):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (folder / "store").mkdir()
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("CITYZONES_")} | {
            "PYTHONPATH": str(ROOT),
            "CITYZONES_STORAGE_URL": f"file://{folder}/store",
            "CITYZONES_WORKER_PORT": str(self.port),
            **told,
        }
        self.command = [sys.executable, "-m", "celery", "-A", "worker.tasks", "worker", "-Q", "blocks", "-c", "1"]
        self.process = GuardedProcess("worker", self.command, log=folder / "w.log", environment=self.environment)

    def get(self, path):
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=10)

    def until(self, path, status, *, seconds=40):
        limit, found = time.monotonic() + seconds, None
        while time.monotonic() < limit:
            try:
                found = self.get(path)
                if found.status_code == status:
                    return found.json()
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise AssertionError(self.process.tail() if found is None else found.text)


@pytest.mark.scale
def test_a_worker_without_its_parts_lives_but_is_not_ready(tmp_path):
    with EmbeddedValkey() as valkey:
        told = {
            "CITYZONES_BROKER_URL": valkey.broker_url(0),
            "CITYZONES_LIVE_URL": valkey.url(1),
            "CITYZONES_TRITON_URL": "127.0.0.1:1",
        }
        worker = Worker(tmp_path, **told)
        try:
            parts = worker.until("/readyz", 503)["parts"]
            limit = time.monotonic() + 20
            while parts["listening"] != "ok" and time.monotonic() < limit:
                parts = worker.until("/readyz", 503)["parts"]
            assert parts["inference"] == "the model server cannot be reached"
            assert {name for name, said in parts.items() if said == "ok"} == {"storage", "queue", "listening"}
            valkey.stop()
            assert "does not answer" in worker.until("/readyz", 503)["parts"]["queue"]
            assert worker.get("/livez").status_code == 200, "an outage elsewhere restarts no worker"
            second = subprocess.run(
                worker.command, env=worker.environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert second.returncode == 1, "the port is taken"
            assert "CITYZONES_WORKER_PORT" in second.stderr
        finally:
            worker.process.stop()
