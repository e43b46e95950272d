"""Areas that cannot be mapped whole: told as coverage and warnings, or the end of the job, as the client wishes."""

import json

import pytest
import rasterio
from rasterio.shutil import copy as copy_raster

from service.client import Client
from service.stack.embedded import EmbeddedStack
from service.stack.files import FileServer
from service.stack.sample import make_sample
from tests.journeys import drafts, fetch, finish, stac_inputs

pytestmark = pytest.mark.scale


@pytest.fixture(scope="module")
def half_outside(client, sample):
    """An upload, and an area of which the image covers a little more than half."""
    image = client.upload(sample / "imagery.tif")["upload"]
    corners = json.loads((sample / "aoi.geojson").read_text())["geometry"]["coordinates"][0]
    west, east = min(x for x, _ in corners), max(x for x, _ in corners)
    south, north = min(y for _, y in corners), max(y for _, y in corners)
    return {"aoi": {"bbox": [west, south, east + (east - west), north]}, "imagery": {"uploads": [image]}}


def test_coverage_is_told_and_warned_of(client, half_outside):
    status = finish(client, half_outside | {"outputs": ["map", "factsheet"]})
    assert status["status"] == "successful", status
    assert 0.45 < status["coverage"] < 0.65
    assert "partly-mapped" in {w["code"] for w in status["warnings"]}


def test_job_fails_below_the_coverage_asked_for(client, half_outside):
    status = finish(client, half_outside | {"outputs": ["map"], "min_coverage": 0.9})
    assert status["status"] == "failed"
    problem = status["problem"]
    assert (problem["code"], problem["status"]) == ("too-little-coverage", 422)
    assert problem["errors"][0]["pointer"] == "/inputs/min_coverage"
    assert "less than the 90 % asked for" in problem["detail"]


def test_whole_maps_say_nothing_of_coverage(finished):
    status, _ = finished
    assert status["coverage"] == 1
    assert not {"partly-mapped", "blocks-unread"} & {w["code"] for w in status["warnings"]}


@pytest.fixture(scope="module")
def strip(tmp_path_factory):
    """A city 9 km wide, so that windows at one end do not see the other."""
    return make_sample(tmp_path_factory.mktemp("strip"), width=9000, height=2000)


@pytest.fixture(scope="module")
def damaged(strip):
    """Its catalogue with one tile of one band destroyed, which only the first block sees."""
    band = next(strip.rglob("B02.tif"))
    tiled = band.with_suffix(".new")
    copy_raster(band, tiled, driver="GTiff", tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    with rasterio.open(tiled) as raster:
        start, size = (int(raster.get_tag_item(f"BLOCK_{what}_0_1", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE"))
    data = bytearray(tiled.read_bytes())
    data[start : start + size] = bytes(size)
    band.write_bytes(data)
    with FileServer(strip) as server:
        yield server


@pytest.fixture(scope="module")
def beside(damaged, tmp_path_factory):
    overrides = {
        "CITYZONES_STAC_URL": f"{damaged.url}/catalog.json",
        "CITYZONES_BLOCK_PIXELS": "240",
        "CITYZONES_WEIGHTS_CACHE": str(tmp_path_factory.mktemp("no-weights")),
    }
    with EmbeddedStack(tmp_path_factory.mktemp("beside"), overrides=overrides) as stack, Client(stack.url) as client:
        yield client


@pytest.fixture(scope="module")
def partly_read(beside, strip):
    status = finish(beside, stac_inputs(strip) | {"outputs": ["map"]})
    assert status["status"] == "successful", status["problem"]
    return status


def test_block_that_cannot_be_read_stays_empty_and_is_named(beside, partly_read, tmp_path):
    assert 0.5 < partly_read["coverage"] < 0.8
    told = {w["code"]: w["detail"] for w in partly_read["warnings"]}
    assert "(r0000c0000)" in told["blocks-unread"]
    assert "B02.tif could not be read" in told["blocks-unread"]
    with rasterio.open(fetch(beside, partly_read["jobID"], tmp_path)["map"]) as raster:
        classes = raster.read(1)
    assert (classes[:240, :240] == 0).all()
    assert (classes[:, 240:] > 0).mean() > 0.8
    drawn = drafts(beside, partly_read["jobID"])[..., 3]
    assert (drawn[:240, :240] == 0).all()
    assert (drawn[:, 240:] > 0).mean() > 0.8


def test_job_with_such_a_block_fails_where_the_client_wants_it_whole(beside, partly_read):
    again = {"imagery": {"job": partly_read["jobID"]}, "outputs": ["map"], "min_coverage": 0.9}
    status = finish(beside, again)
    assert status["status"] == "failed"
    assert "B02.tif could not be read" in status["problem"]["detail"]
