"""The command line against a running service: jobs sent, followed, stopped and listed, mistakes told plainly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rasterio.transform import from_origin

from jobs.store import JobStore
from models.errors import CityzonesError
from tests.servers.api import Served, finish, new_job, write_image

AOI = {"type": "Polygon", "coordinates": [[[13.3, 52.5], [13.35, 52.5], [13.35, 52.53], [13.3, 52.53], [13.3, 52.5]]]}


def _cityzones(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("cityzones")), *map(str, words)]
    told = {k: v for k, v in os.environ.items() if not k.startswith("CITYZONES_")} | {"COLUMNS": "200"} | environment
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=told)


@pytest.fixture
def aoi(tmp_path: Path) -> Path:
    (tmp_path / "aoi.geojson").write_text(json.dumps(AOI))
    return tmp_path / "aoi.geojson"


@pytest.fixture
def worker(store: JobStore) -> Iterator[dict[str, CityzonesError]]:
    """Ends every new job, as a worker would: with a small map, or with the error put under "error"."""
    before, over = set(store.storage.folders("jobs")), threading.Event()
    orders: dict[str, CityzonesError] = {}

    def work() -> None:
        while not over.wait(0.2):
            for job in set(store.storage.folders("jobs")) - before:
                before.add(job)
                store.live.update(job, state="running", phase="mapping", blocks_total=2)
                time.sleep(0.5)
                if "error" in orders:
                    store.fail(job, orders["error"])
                else:
                    finish(store, job, {"map": ("map.tif", "image/tiff", b"m" * 3_000_000)})

    thread = threading.Thread(target=work)
    thread.start()
    yield orders
    over.set()
    thread.join()


def test_map_sends_follows_and_downloads(
    served: Served, store: JobStore, worker: object, aoi: Path, tmp_path: Path
) -> None:
    inside = from_origin(386_000, 5_820_000, 10, 10)
    image = write_image(tmp_path / "image.tif", bands=10, transform=inside)
    done = _cityzones(
        *("map", aoi, "--image", image, "--bands", "B02,B03", "--scale", "1", "--offset", "0", "--units", "scene"),
        *("--out", tmp_path / "out", "--url", served.url, "--json"),
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["status"], said["warnings"][0]["code"]) == ("successful", "few-scenes")
    assert Path(said["outputs"]["map"]).read_bytes() == b"m" * 3_000_000
    asked = store.request(said["job"]).execute["inputs"]
    assert (asked["units"], asked["imagery"]["bands"], asked["imagery"]["scale"]) == ("scene", ["B02", "B03"], 1.0)
    assert asked["aoi"] == AOI


def test_map_says_why_a_job_failed(
    served: Served, worker: dict[str, CityzonesError], aoi: Path, tmp_path: Path
) -> None:
    class Clouded(CityzonesError):
        code = "no-imagery"

    worker["error"] = Clouded("no scene has less than 20 % cloud")
    done = _cityzones(
        "map", aoi, "--datetime", "2025-06-01/2025-08-31", "--out", tmp_path, "--url", served.url, "--json"
    )
    assert done.returncode == 1
    assert "no scene has less than 20 % cloud" in done.stderr
    assert "Traceback" not in done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["status"], said["problem"]["code"]) == ("failed", "no-imagery")


def test_map_points_at_what_the_service_refuses(served: Served, tmp_path: Path) -> None:
    (tmp_path / "tiny.geojson").write_text(json.dumps({"bbox": [13, 52, 13.0001, 52.0001]}))
    done = _cityzones("map", tmp_path / "tiny.geojson", "--datetime", "2025", "--out", tmp_path, "--url", served.url)
    assert done.returncode == 1
    assert "/inputs/aoi" in done.stderr


def test_interrupting_map_dismisses_the_job(served: Served, store: JobStore, aoi: Path, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("cityzones")), "map", str(aoi), "--datetime", "2025-06-01/2025-08-31"]
    command += ["--out", str(tmp_path), "--url", served.url]
    # Where tests run in the background of a shell the signal is ignored, and a child would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        assert process.stderr
        job = process.stderr.readline().split()[0]
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert store.read(job).state == "dismissed"


def test_usage_errors_exit_2(aoi: Path, tmp_path: Path) -> None:
    assert _cityzones("map", "--out", tmp_path).returncode == 2
    assert _cityzones("map", aoi, "--out", tmp_path).returncode == 2
    (tmp_path / "no.geojson").write_text("{")
    assert _cityzones("map", tmp_path / "no.geojson", "--datetime", "2025", "--out", tmp_path).returncode == 2


def test_an_absent_service_is_told_plainly(aoi: Path, tmp_path: Path) -> None:
    done = _cityzones("map", aoi, "--datetime", "2025", "--out", tmp_path, "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "is the service up?" in done.stderr
    assert "Traceback" not in done.stderr


def test_jobs_status_and_recover(served: Served, store: JobStore, environment: dict[str, str]) -> None:
    job = new_job(store)
    listed = json.loads(_cityzones("jobs", "--limit", "1", "--json", "--url", served.url).stdout)
    assert [found["jobID"] for found in listed["jobs"]] == [job]
    assert job in _cityzones("jobs", "--url", served.url).stderr
    assert "accepted" in _cityzones("status", job, "--url", served.url).stderr
    assert _cityzones("status", "job_none", "--url", served.url).returncode == 1
    storage = {"CITYZONES_STORAGE_URL": served.settings.storage_url}
    assert job not in _cityzones("recover", **environment, **storage).stdout
    assert job in _cityzones("recover", "--all", **environment, **storage).stdout


def test_models_are_listed_and_fetching_says_what_is_wrong(tmp_path: Path) -> None:
    listed = _cityzones("models", "list")
    assert "so2sat-resnet20" in listed.stderr
    assert _cityzones("models", "fetch", "nope").returncode == 1
    empty = _cityzones(
        "models", "fetch", "so2sat-resnet20", "--mirror", tmp_path, CITYZONES_WEIGHTS_CACHE=str(tmp_path)
    )
    assert empty.returncode == 1
    assert "Traceback" not in empty.stderr
