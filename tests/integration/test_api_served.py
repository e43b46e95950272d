"""The service as BentoML serves it, its native endpoint with a real model server, and the command line against it."""

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

import bentoml
import httpx
import numpy as np
import pytest
import rasterio
from bentoml.exceptions import BentoMLException

from jobs.inference import TritonModels
from jobs.store import JobStore
from models.cards import CARDS_DIR, Card
from models.errors import CityzonesError
from models.serving import build_repository
from service.classify import map_codes
from service.stack.triton import EmbeddedTriton
from service.stack.triton_environment import TritonMissing, find_environment
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import EXECUTE, LCZ, Served, finish, new_job, store_of, write_image
from tests.servers.tiny_model import BANDS, STEP, TILE, tiny_card, tiny_weights, write_tiny_model

AOI = {"type": "Polygon", "coordinates": [[[13.3, 52.5], [13.35, 52.5], [13.35, 52.53], [13.3, 52.53], [13.3, 52.5]]]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def triton(folder: Path) -> Iterator[EmbeddedTriton]:
    try:
        find_environment()
    except TritonMissing as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(error.detail)
    card = tiny_card()
    write_tiny_model(folder / "cache" / card.weights.file)
    build_repository(folder / "repository", [card], cache=folder / "cache")
    with EmbeddedTriton(folder / "repository", logs=folder, supervise_every=0) as server:
        yield server


@pytest.fixture(scope="module")
def valkey() -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey() as valkey:
        yield valkey


@pytest.fixture(scope="module")
def environment(folder: Path, valkey: EmbeddedValkey, triton: EmbeddedTriton) -> dict[str, str]:
    return {
        "CITYZONES_BROKER_URL": valkey.broker_url(0),
        "CITYZONES_LIVE_URL": valkey.url(1),
        "CITYZONES_TRITON_URL": triton.grpc_url,
        "CITYZONES_MAX_UPLOAD_BYTES": "50000000",
    }


@pytest.fixture(scope="module")
def served(folder: Path, environment: dict[str, str]) -> Iterator[Served]:
    with Served(folder, environment, path=_with_tiny_card(folder)) as served:
        yield served


@pytest.fixture
def store(served: Served) -> JobStore:
    return store_of(served.settings)


def _with_tiny_card(folder: Path) -> Path:
    """Give the server the tests' own network beside the real ones: Python imports sitecustomize before all else."""
    cards = folder / "cards"
    cards.mkdir(exist_ok=True)
    for path in CARDS_DIR.glob("*.toml"):
        (cards / path.name).write_bytes(path.read_bytes())
    (cards / "tiny.toml").write_text(_toml(tiny_card()))
    (folder / "first").mkdir(exist_ok=True)
    patch = f"import pathlib, models.cards\nmodels.cards.CARDS_DIR = pathlib.Path({str(cards)!r})\n"
    (folder / "first" / "sitecustomize.py").write_text(patch)
    return folder / "first"


def _toml(card: Card) -> str:
    values = card.model_dump(mode="json", exclude_none=True)
    plain = [f"{name} = {json.dumps(v)}" for name, v in values.items() if not isinstance(v, dict)]
    for name, section in values.items():
        if isinstance(section, dict):
            plain += [f"[{name}]", *(f"{key} = {json.dumps(v)}" for key, v in section.items())]
    return "\n".join(plain)


def _classes(image: np.ndarray) -> np.ndarray:
    """Compute the class of every pixel as the tiny network does, whole cells only."""
    rows, columns = image.shape[1] // STEP, image.shape[2] // STEP
    cells = image[:, : rows * STEP, : columns * STEP].reshape(len(BANDS), rows, STEP, columns, STEP).mean((2, 4))
    classes = np.einsum("cb,byx->cyx", tiny_weights(), cells).argmax(0) + 1
    return classes.repeat(STEP, 0).repeat(STEP, 1)


# --- the REST interface behind BentoML ---------------------------------------------------------------------------


def test_every_part_answers(served: Served) -> None:
    answer = httpx.get(f"{served.url}/readyz", timeout=10)
    assert (answer.status_code, answer.json()["status"]) == (200, "ready"), answer.text


def test_statuses_headers_and_problems_pass_through(served: Served) -> None:
    url = f"{served.url}/processes/{LCZ}/execution"
    answer = httpx.post(url, json=EXECUTE)
    assert answer.status_code == 201
    assert answer.headers["location"].startswith(f"{served.url}/jobs/job_")
    assert answer.headers["preference-applied"] == "respond-async"
    for path, status in (("/nowhere", 404), ("/docs.json", 404), ("/jobs/x", 404), ("/classify", 405)):
        wrong = httpx.get(f"{served.url}{path}")
        assert (wrong.status_code, wrong.headers["content-type"]) == (status, "application/problem+json"), path
    assert httpx.get(f"{served.url}/").json()["title"] == "Cityzones"
    huge = httpx.post(url, content=(b"x" * 2**20 for _ in range(9)), headers={"content-type": "application/json"})
    assert (huge.status_code, huge.json()["code"]) == (413, "body-too-large")


def test_metrics_are_ours_alone(served: Served) -> None:
    httpx.get(f"{served.url}/jobs/job_{'0' * 26}")
    text = httpx.get(f"{served.url}/metrics").text
    assert 'route="/jobs/{job}"' in text
    assert "bentoml_" not in text


def test_a_large_upload_streams_through(served: Served, tmp_path: Path) -> None:
    image = write_image(tmp_path / "large.tif", bands=3, side=(1000, 1000))
    with image.open("rb") as file:
        answer = httpx.post(f"{served.url}/uploads", files={"file": ("large.tif", file)}, timeout=60)
    assert answer.status_code == 201, answer.text
    assert answer.json()["size"] == image.stat().st_size


def test_sigterm_lets_requests_finish(folder: Path, environment: dict[str, str], tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    data = write_image(tmp_path / "slow.tif").read_bytes()
    form = (
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="slow.tif"\r\n\r\n' + data + b"\r\n--cut--\r\n"
    )
    halfway = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield form[:100]
        halfway.set()
        time.sleep(2)
        yield form[100:]

    with Served(own, environment, path=_with_tiny_card(folder)) as served:
        process = served.process
        assert process
        ending = threading.Thread(target=lambda: (halfway.wait(10), process.stop()))
        ending.start()
        kind = {"content-type": "multipart/form-data; boundary=cut"}
        answer = httpx.post(f"{served.url}/uploads", content=slowly(), headers=kind, timeout=30)
        ending.join()
        assert answer.status_code == 201, answer.text
        assert not process.alive
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{served.url}/livez")


# --- classify ----------------------------------------------------------------------------------------------------


def test_bentomls_own_client_gets_a_class_map(served: Served, tmp_path: Path) -> None:
    image = write_image(tmp_path / "tile.tif", bands=len(BANDS), side=(7 * STEP + 3, 9 * STEP))
    with bentoml.SyncHTTPClient(served.url) as client:
        answer = client.classify(image=image, model="tiny")
    with rasterio.open(image) as source, rasterio.open(answer) as made:
        assert (made.crs, made.transform, made.shape) == (source.crs, source.transform, source.shape)
        assert (made.dtypes, made.nodata) == (("uint8",), 0)
        assert made.colormap(1)[6] == (0, 0x45, 0xFF, 255)
        classes, expected = made.read(1), _classes(source.read())
    inside = (slice(0, 7 * STEP), slice(0, 9 * STEP))
    assert (classes[inside] == expected).mean() > 0.99
    assert classes.min() >= 1


def test_bands_scale_and_nodata_are_honoured(served: Served, tmp_path: Path) -> None:
    straight = write_image(tmp_path / "a.tif", bands=2)
    with rasterio.open(straight) as source:
        values, profile = source.read(), source.profile
    numbers = np.round(values * 10_000).astype(np.uint16) + 1
    numbers[:, :10, :10] = 0
    with rasterio.open(tmp_path / "b.tif", "w", **(profile | {"dtype": "uint16", "nodata": 0, "count": 3})) as out:
        out.write(numbers[1], 1)
        out.write(numbers[0], 3)
        for band, name in enumerate(("B3", "SCL", "b02"), 1):
            out.set_band_description(band, name)
    url = f"{served.url}/classify"
    with (tmp_path / "b.tif").open("rb") as file:
        told = {"model": "tiny", "scale": "0.0001", "offset": "-0.0001"}
        answer = httpx.post(url, files={"image": file}, data=told, timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/tiff"), answer.text
    with rasterio.MemoryFile(answer.content) as memory, memory.open() as made:
        classes = made.read(1)
    assert (classes[:10, :10] == 0).all()
    same = classes[10:, 10:] == _classes(values)[10:, 10:]
    assert same.mean() > 0.97


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"bands": 2, "side": (513, 20)}, "upload-too-large"),
        ({"bands": 3}, "wrong-bands"),
        ({"bands": 2, "dtype": "uint8"}, "bad-image"),
        ({"bands": 2, "transform": rasterio.Affine(20, 0, 390_000, 0, -20, 5_820_000)}, "bad-image"),
        ({"bands": 2, "crs": None}, "missing-crs"),
    ],
)
def test_tiles_that_do_not_fit_are_problems(served: Served, tmp_path: Path, told: dict[str, object], code: str) -> None:
    image = write_image(tmp_path / "tile.tif", **told)  # type: ignore[arg-type]
    with image.open("rb") as file:
        answer = httpx.post(f"{served.url}/classify", files={"image": file}, data={"model": "tiny"}, timeout=60)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["instance"]) == (code, "/classify")
    assert answer.status_code in {413, 422}


def test_other_mistakes_with_classify(served: Served, tmp_path: Path) -> None:
    url = f"{served.url}/classify"
    assert httpx.post(url, data={"model": "tiny"}).json()["errors"][0]["pointer"] == "/image"
    image = write_image(tmp_path / "tile.tif")
    with image.open("rb") as file:
        assert httpx.post(url, files={"image": file}, data={"model": "nope"}).json()["code"] == "unknown-model"
    with bentoml.SyncHTTPClient(served.url) as client, pytest.raises(BentoMLException):
        client.classify(image=image, model="nope")
    assert "Traceback" not in served.log.read_text()


@pytest.mark.parametrize("side", [(1, 1), (STEP, 1), (TILE, TILE), (TILE + 1, 2 * TILE - 1)])
def test_every_size_is_covered(triton: EmbeddedTriton, side: tuple[int, int]) -> None:
    image = np.random.default_rng(1).random((len(BANDS), *side), np.float32)
    codes = map_codes(image, tiny_card(), TritonModels(triton.grpc_url, timeout=30))
    assert codes.shape == side
    assert codes.min() >= 1


# --- the command line --------------------------------------------------------------------------------------------


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
    image = write_image(tmp_path / "image.tif", bands=10)
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
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
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
