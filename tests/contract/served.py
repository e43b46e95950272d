"""The interface as `bentoml serve` with keys, and what a tenant has there: jobs in every state, uploads, files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from jobs.area import Grid
from jobs.errors import NoImagery
from jobs.keys import KeyStore
from jobs.request import parse_execute
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.store import JobStore
from models.cards import card_of
from tests.servers.api import EXECUTE, LCZ, Served, finish, store_of, write_image
from tests.servers.plans import mapped, planned
from tests.servers.projects import squares_project
from tests.unit.test_tiles_drawing import write_map

TENANT = "contract"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
GRID = Grid("EPSG:32633", 390_000, 5_820_000, 10.0, 60, 50)


@dataclass(frozen=True, slots=True)
class Interface:
    """Where the interface is, a key that may do everything, and values that name something there."""

    url: str
    key: str
    key_id: str
    image: Path
    known: dict[str, list[str]]


@contextmanager
def serving(folder: Path, *, broker_url: str, live_url: str, triton_url: str, stac_url: str) -> Iterator[Interface]:
    """Serve the interface over a folder, with queue and model server that are really there."""
    environment = {
        "CITYZONES_BROKER_URL": broker_url,
        "CITYZONES_LIVE_URL": live_url,
        "CITYZONES_TRITON_URL": triton_url,
        "CITYZONES_STAC_URL": stac_url,
        "CITYZONES_AUTH": "keys",
        "CITYZONES_CALLBACK_SECRET": "a secret of the tests, long enough for callbacks",
        # High enough never to refuse, and counted all the same: answers carry the headers of a limit.
        "CITYZONES_REQUESTS_PER_MINUTE": "10000000",
        "CITYZONES_FAILURES_PER_MINUTE": "0",
    }
    with Served(folder, environment) as served:
        made = KeyStore(Storage(served.settings)).create(TENANT, ["admin"])
        known = _jobs(served.settings, folder) | _uploads(served.url, made.text, folder)
        yield Interface(
            served.url,
            made.text,
            made.record.id,
            folder / "image.tif",
            known | _links(served.url, made.text, known["job"][0]),
        )


def _jobs(settings: Settings, folder: Path) -> dict[str, list[str]]:
    """Make a job in every state that needs no worker: successful, failed, dismissed, accepted."""
    store = store_of(settings)
    done, failed, dismissed, accepted = (_job(store) for _ in range(4))
    finish(store, done, {"map": ("map.tif", COG, write_map(folder / "map.tif", GRID).read_bytes())})
    store.fail(failed, NoImagery("no scene of the dates fits"))
    store.dismiss(dismissed)
    for job in (done, accepted):
        plan = planned(store, job, GRID)
        mapped(store, plan, plan.blocks[0])
    annotated = squares_project(store, _job(store)).job
    jobs = [done, failed, dismissed, accepted, annotated]
    return {"job": jobs, "annotated": [annotated], "block": [block.id for block in plan.blocks]}


def _job(store: JobStore) -> str:
    return store.create(LCZ, parse_execute(EXECUTE), tenant=TENANT).job


def _uploads(url: str, key: str, folder: Path) -> dict[str, list[str]]:
    """Send an image, and announce a file that never comes."""
    image = write_image(folder / "image.tif", bands=len(card_of("magnet").input.bands)).read_bytes()
    headers = {"Authorization": f"Bearer {key}"}
    sent = httpx.post(f"{url}/uploads", headers=headers, files={"file": ("image.tif", image)}, timeout=30)
    announced = httpx.post(f"{url}/uploads", headers=headers, json={"filename": "a.tif", "size": 1000}, timeout=30)
    return {"upload": [answer.raise_for_status().json()["upload"] for answer in (sent, announced)]}


def _links(url: str, key: str, job: str) -> dict[str, list[str]]:
    answer = httpx.get(f"{url}/jobs/{job}/results", headers={"Authorization": f"Bearer {key}"}, timeout=30)
    return {"file": [urlsplit(output["href"]).path.removeprefix("/files/") for output in answer.json().values()]}
