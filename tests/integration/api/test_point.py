"""What is at a place, through the interface: each output's part of the answer, who may ask, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from shapely.geometry import Point, box, shape

from jobs.keys import KeyStore
from jobs.products import DOUBTS, UNIT_TITLES
from jobs.request import parse_execute
from jobs.settings import Settings
from jobs.storage import Storage
from models.classes import LAND_COVER, LOCAL_CLIMATE_ZONES, SHARES
from tests.integration.api.test_tiles import COG, GRID
from tests.servers.api import EXECUTE, Api, finish, new_job, problem
from tests.unit.test_tiles_point import lonlat, table_of, written
from worker.products.cog import Canvas, CogBand, class_colours

Files = dict[str, tuple[str, str, bytes]]
HALF = GRID.height // 2
NORTH, SOUTH = (
    lonlat(GRID, GRID.left + 1005, GRID.top - down) for down in (1005, GRID.resolution * GRID.height - 1005)
)


def raster(path: Path, values: list[int], bands: list[CogBand], nodata: int = 0) -> bytes:
    """A raster whose northern half has these values, one a band, and nothing south of it."""
    painted = np.full((len(values), *GRID.shape), nodata, np.uint8)
    painted[:, :HALF] = np.array(values)[:, None, None]
    colours = class_colours(LOCAL_CLIMATE_ZONES) if path.name == "map.tif" else None
    with Canvas(path.with_suffix(".plain"), GRID, count=len(values), nodata=nodata, colours=colours) as canvas:
        canvas.write(slice(0, GRID.height), slice(0, GRID.width), painted)
        canvas.publish(path, bands)
    return path.read_bytes()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Outputs of a job: class 5 in the north, decided by parcels, of which there are two."""
    folder = tmp_path_factory.mktemp("outputs")
    doubts = [CogBand(text, {"NAME": name}) for name, text in reversed(DOUBTS)]
    table = table_of(
        [box(GRID.left, GRID.top - down, GRID.left + 5000, GRID.top - down + 2000) for down in (2000, 4000)]
    )
    made: Files = {
        "map": ("map.tif", COG, raster(folder / "map.tif", [5], [CogBand("classes")])),
        "confidence": ("confidence.tif", COG, raster(folder / "confidence.tif", [83], [CogBand("percent")])),
        "units": ("units.tif", COG, raster(folder / "units.tif", [3], [CogBand("units")])),
        "uncertainty": ("uncertainty.tif", COG, raster(folder / "u.tif", [255, 40, 6, 27, 83], doubts, 255)),
    }
    for name, path in written(folder, table).items():
        made["parcels-gpkg" if name.endswith("gpkg") else "parcels"] = (name, "application/x", path.read_bytes())
    return made


def job_of(api: Api, files: Files, *names: str) -> str:
    job = new_job(api.store)
    finish(api.store, job, {name: files[name] for name in names or files})
    return job


def asked(api: Api, job: str, place: tuple[float, float], **told: Any) -> dict[str, Any]:
    answer = api.get(f"/jobs/{job}/point", params={"lon": place[0], "lat": place[1]}, **told)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), answer.text
    body: dict[str, Any] = answer.json()
    assert (body["lon"], body["lat"]) == place
    return body


def named(code: int) -> dict[str, Any]:
    kind = LOCAL_CLIMATE_ZONES[code - 1]
    return {"code": code, "label": kind.label, "name": kind.name, "colour": kind.colour}


def test_every_output_tells_its_part(api: Api, files: Files) -> None:
    body = asked(api, job_of(api, files), NORTH)
    assert body["mapped"] is True
    assert body["pixel"] == {
        "resolution": 10.0, "class": named(5), "confidence": 0.83, "unit": UNIT_TITLES[3], "second": named(6),
        "entropy": 0.27, "buildings_share": 0.4,
    }  # fmt: skip
    parcel = body["parcel"]
    assert parcel["id"] == "P0"
    assert shape(parcel["geometry"]).covers(Point(NORTH))
    shares = [one["share"] for one in parcel["probabilities"]]
    assert shares == sorted(shares, reverse=True)
    assert min(shares) >= 0.005
    first, second = parcel["probabilities"][:2]
    assert parcel["class"] == {key: value for key, value in first.items() if key != "share"}
    assert parcel["second"] == {key: value for key, value in second.items() if key != "share"}
    assert parcel["purity"] == shares[0]
    assert (parcel["area_m2"], parcel["pixels"], parcel["valid_fraction"]) == (1e7, 12, 1)
    assert parcel["decided_by"] == "parcel"
    assert not {"reason", "shares"} & set(parcel)


def test_what_was_not_asked_for_is_left_out(api: Api, files: Files) -> None:
    bare = asked(api, job_of(api, files, "map"), NORTH)
    assert set(bare) == {"lon", "lat", "mapped", "pixel"}
    assert bare["pixel"] == {"resolution": 10.0, "class": named(5)}
    whole = asked(api, job_of(api, files), NORTH)
    assert asked(api, job_of(api, files, "map", "parcels"), NORTH)["parcel"] == whole["parcel"]
    for name, members in (("confidence", {"confidence"}), ("units", {"unit"})):
        pixel = asked(api, job_of(api, files, "map", name), NORTH)["pixel"]
        assert set(pixel) == {"resolution", "class"} | members


def test_beside_the_map_there_is_nothing_and_without_a_class_still_the_parcel(api: Api, files: Files) -> None:
    job = job_of(api, files)
    unmapped = asked(api, job, SOUTH)
    assert (unmapped["mapped"], unmapped["parcel"]["id"]) == (False, "P1")
    assert "pixel" not in unmapped
    for place in ((0.0, 0.0), (-166.6, -52.5), (180.0, 90.0), (-180.0, -90.0), (NORTH[0] + 1, NORTH[1])):
        assert asked(api, job, place) == {"lon": place[0], "lat": place[1], "mapped": False}


def test_land_cover_parcels_tell_what_planners_ask_for(api: Api, files: Files, tmp_path: Path) -> None:
    product = "land-cover"
    table = table_of([box(GRID.left, GRID.top - 2000, GRID.left + 2000, GRID.top)])
    table = table.drop(columns=[f"p_{code}" for code in range(len(LAND_COVER) + 1, 18)])
    for number, name in enumerate(SHARES[product]):
        table[name] = [0.5, 0.25, np.nan][number]
    table[["second_code", "class_code"]], table["reason"], table["decided_by"] = None, "too little imagery", "abstain"
    job = api.store.create(product, parse_execute(EXECUTE)).job
    outputs = {"map": files["map"], "parcels-gpkg": ("parcels.gpkg", "application/x", b"")}
    outputs["parcels-gpkg"] = (*outputs["parcels-gpkg"][:2], written(tmp_path, table)["parcels.gpkg"].read_bytes())
    finish(api.store, job, outputs)
    body = asked(api, job, NORTH)
    assert body["pixel"]["class"]["name"] == LAND_COVER[4].name
    assert body["parcel"]["shares"] == dict(zip(SHARES[product], (0.5, 0.25), strict=False))
    assert (body["parcel"]["decided_by"], body["parcel"]["reason"]) == ("abstain", "too little imagery")
    assert not {"class", "second"} & set(body["parcel"])
    assert all(one["code"] <= len(LAND_COVER) for one in body["parcel"]["probabilities"])


def test_what_is_no_place_is_refused_by_name(api: Api, files: Files) -> None:
    job = job_of(api, files, "map")
    for query, parameter in (
        ("lat=1", "lon"), ("lon=1", "lat"), ("lon=180.01&lat=1", "lon"), ("lon=1&lat=-90.5", "lat"),
        ("lon=nan&lat=1", "lon"), ("lon=1&lat=inf", "lat"), ("lon=1e999&lat=1", "lon"), ("lon=one&lat=1", "lon"),
        ("lon=&lat=1", "lon"), (f"lon={'9' * 4000}&lat=1", "lon"), ("lon=1&lon=2&lat=1", "lon"),
        ("lon=1&lat=1&layer=map", "layer"), ("lng=1&lat=1", "lng"),
    ):  # fmt: skip
        body = problem(api.get(f"/jobs/{job}/point?{query}"), 400, "invalid-parameter")
        assert [parameter in error["pointer"] for error in body["errors"]] == [True], query


def test_jobs_without_a_map_say_why(api: Api, files: Files) -> None:
    query = "point?lon=13.4&lat=52.5"
    problem(api.get(f"/jobs/{new_job(api.store)}/{query}"), 404, "result-not-ready")
    problem(api.get(f"/jobs/job_{'0' * 26}/{query}"), 404, "unknown-job")
    problem(api.get(f"/jobs/{job_of(api, files, 'units')}/{query}"), 404, "not-found")
    job = job_of(api, files)
    api.ask("DELETE", f"/jobs/{job}")
    problem(api.get(f"/jobs/{job}/{query}"), 410, "job-dismissed")
    broken = job_of(api, files | {"parcels-gpkg": ("parcels.gpkg", "application/x", b"broken")})
    problem(api.get(f"/jobs/{broken}/point?lon={NORTH[0]}&lat={NORTH[1]}"), 500, "map-unreadable")


def test_places_are_as_private_as_the_map(settings: Settings, files: Files) -> None:
    api = Api(settings.model_copy(update={"auth": "keys"}))
    keys = KeyStore(Storage(settings))
    owner, other = ({"X-API-Key": keys.create(tenant, ["read"]).text} for tenant in ("public", "other"))
    job, another = job_of(api, files, "map"), job_of(api, files, "map")
    told = asked(api, job, NORTH, headers=owner)
    problem(api.get(f"/jobs/{job}/point?lon=1&lat=1", headers=other), 404, "unknown-job")
    problem(api.get(f"/jobs/{job}/point?lon=999", headers=other), 404, "unknown-job")
    problem(api.get(f"/jobs/{job}/point?lon=1&lat=1"), 401, "unauthorized")
    document = api.get(f"/jobs/{job}/tiles", headers=owner).json()
    (link,) = [link["href"] for link in document["links"] if link["rel"] == "related"]
    signed = urlsplit(link)
    shown = api.get(f"{signed.path}?{signed.query}")
    assert (shown.status_code, shown.json()["lon"]) == (200, round(document["center"][0], 6))
    signature = signed.query.partition("&lat=")[2].partition("&")[2]
    place = f"lon={NORTH[0]}&lat={NORTH[1]}"
    assert api.get(f"/jobs/{job}/point?{place}&{signature}").json() == told
    problem(api.get(f"/jobs/{another}/point?{place}&{signature}"), 403, "link-refused")


def test_the_legend_tells_areas_of_every_pixel(api: Api, files: Files) -> None:
    job = job_of(api, files)
    for _ in range(2):
        entries = {entry["code"]: entry for entry in api.get(f"/jobs/{job}/legend").json()["entries"]}
        assert (entries[5]["share"], entries[5]["km2"]) == (1, GRID.width * HALF / 1e4)
        assert (entries[6]["share"], entries[6]["km2"]) == (0, 0)
    percents = api.get(f"/jobs/{job}/legend?layer=confidence").json()["entries"]
    assert not any({"share", "km2"} & set(entry) for entry in percents)
