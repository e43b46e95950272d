"""The blocks of a job through the interface: where they lie, which are done, and their draft pictures."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from rasterio.warp import transform

from jobs.area import Grid
from jobs.keys import KeyStore
from jobs.settings import Settings
from jobs.storage import Storage
from models.errors import CityzonesError
from tests.integration.api.test_tiles import path_of
from tests.servers.api import Api, finish, new_job, problem
from tests.servers.plans import GRID, left_empty, mapped, planned


@pytest.fixture
def job(api: Api) -> str:
    return new_job(api.store)


def listed(api: Api, job: str, **told: Any) -> dict[str, Any]:
    answer = api.get(f"/jobs/{job}/blocks", **told)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_job_without_a_plan_has_no_blocks_yet(api: Api, job: str) -> None:
    told = listed(api, job)
    assert told["blocks"] == []
    assert "grid" not in told
    api.store.fail(job, CityzonesError("there was nothing to plan"))
    assert listed(api, job)["blocks"] == []


def test_blocks_are_listed_with_pictures_of_those_done(api: Api, job: str) -> None:
    plan = planned(api.store, job)
    first, second, *others = plan.blocks
    picture = mapped(api.store, plan, first)
    left_empty(api.store, plan, second)
    answer = api.get(f"/jobs/{job}/blocks")
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert set(told) == {"grid", "blocks", "links"}
    assert told["blocks"][0].pop("href").startswith(f"http://127.0.0.1/jobs/{job}/blocks/r0000c0000.png?expires=")
    expected = [block.model_dump() | {"done": block in {first, second}} for block in plan.blocks]
    assert told["blocks"] == expected
    assert len(others) == 7
    shown = api.get(path_of(listed(api, job)["blocks"][0]["href"]))
    assert (shown.status_code, shown.headers["content-type"], shown.content) == (200, "image/png", picture)
    with Image.open(io.BytesIO(shown.content)) as image:
        assert image.size == (240, 240)


def test_corners_of_the_grid_lie_where_it_lies(api: Api, job: str) -> None:
    planned(api.store, job)
    told = listed(api, job)["grid"]
    assert (told["width"], told["height"]) == (GRID.width, GRID.height)
    left, bottom, right, top = GRID.bounds
    expected = transform(GRID.crs, "EPSG:4326", [left, right, right, left], [top, top, bottom, bottom])
    assert np.allclose(np.array(told["corners"]).T, expected, atol=1e-6)


def test_corners_stay_beside_each_other_across_the_antimeridian(api: Api, job: str) -> None:
    planned(api.store, job, Grid("EPSG:32660", 825_000, 1_000, 10.0, 2_000, 300), 480)
    longitudes = [longitude for longitude, _ in listed(api, job)["grid"]["corners"]]
    assert 179.9 < min(longitudes) < 180 < max(longitudes) < 180.2


def test_a_picture_the_client_has_is_not_sent_again(api: Api, job: str) -> None:
    plan = planned(api.store, job)
    mapped(api.store, plan, plan.blocks[0])
    path = f"/jobs/{job}/blocks/{plan.blocks[0].id}.png"
    first = api.get(path)
    assert "private, max-age=300" in first.headers["cache-control"]
    kept = api.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (kept.status_code, kept.content, kept.headers["etag"]) == (304, b"", first.headers["etag"])
    mapped(api.store, plan, plan.blocks[1])
    assert api.get(path.replace("c0000", "c0001")).headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize("block", ["r0000c0001", "r9999c9999", "t0001", "..%2f..%2fplan", "r0000c0000%00", "9" * 3000])
def test_what_is_no_picture_is_a_problem(api: Api, job: str, block: str) -> None:
    plan = planned(api.store, job)
    mapped(api.store, plan, plan.blocks[0])
    problem(api.get(f"/jobs/{job}/blocks/{block}.png"), 404, "not-found")


def test_blocks_outlive_the_end_but_not_the_data(api: Api, job: str) -> None:
    plan = planned(api.store, job)
    mapped(api.store, plan, plan.blocks[0])
    finish(api.store, job, {"map": ("map.tif", "image/tiff", b"map")})
    href = path_of(listed(api, job)["blocks"][0]["href"])
    assert api.get(href).status_code == 200
    assert api.ask("DELETE", f"/jobs/{job}").status_code == 200
    for path in (href, f"/jobs/{job}/blocks"):
        problem(api.get(path), 410, "job-dismissed")
    assert not api.store.storage.keys(f"jobs/{job}/drafts")


def test_expired_data_are_told(settings: Settings) -> None:
    api = Api(settings.model_copy(update={"job_days": 0}))
    done = new_job(api.store)
    planned(api.store, done)
    finish(api.store, done, {})
    for path in ("blocks", "blocks/r0000c0000.png"):
        problem(api.get(f"/jobs/{done}/{path}"), 410, "results-deleted")


def test_running_maps_link_their_blocks(api: Api, job: str) -> None:
    def related() -> list[str]:
        return [link["href"] for link in api.get(f"/jobs/{job}").json()["links"] if link["rel"] == "related"]

    assert related() == []
    api.store.live.update(job, state="running")
    (href,) = related()
    assert listed(api, urlsplit(href).path.split("/")[2])["blocks"] == []
    finish(api.store, job, {})
    assert related() == []


def test_blocks_are_as_private_as_the_job(settings: Settings) -> None:
    api = Api(settings.model_copy(update={"auth": "keys"}))
    keys = KeyStore(Storage(settings))
    owner, other = ({"Authorization": f"Bearer {keys.create(name, ['read']).text}"} for name in ("public", "other"))
    job, another = new_job(api.store), new_job(api.store)
    plan = planned(api.store, job)
    mapped(api.store, plan, plan.blocks[0])
    for path in ("blocks", "blocks/r0000c0000.png"):
        assert api.get(f"/jobs/{job}/{path}", headers=owner).status_code == 200, path
        problem(api.get(f"/jobs/{job}/{path}", headers=other), 404, "unknown-job")
        problem(api.get(f"/jobs/{job}/{path}"), 401, "unauthorized")
    told = listed(api, job, headers=owner)
    href, itself = path_of(told["blocks"][0]["href"]), path_of(told["links"][0]["href"])
    assert api.get(href).status_code == 200
    assert api.get(itself).json() == told, "a signed link never prolongs itself"
    problem(api.get(href.replace(job, another)), 403, "link-refused")
    problem(api.get(f"{href[:-1]}x"), 403, "link-refused")
