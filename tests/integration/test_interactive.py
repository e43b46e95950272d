"""Small jobs have workers of their own: a city in progress never delays them."""

import time

import numpy as np
import pytest
import rasterio

from tests.journeys import DATES, PROCESS

pytestmark = pytest.mark.scale

ENDED = {"successful", "failed", "dismissed"}
COPIES = 10


@pytest.fixture(scope="module")
def large_image(sample, tmp_path_factory):
    """The sample's imagery laid side by side, 34 x 29 km: some 180 blocks."""
    path = tmp_path_factory.mktemp("large") / "large.tif"
    with rasterio.open(sample / "imagery.tif") as source:
        values, profile, names = np.tile(source.read(), (1, COPIES, COPIES)), source.profile, source.descriptions
        scales, offsets = source.scales, source.offsets
    profile |= {"height": values.shape[1], "width": values.shape[2], "driver": "GTiff", "zlevel": 1}
    with rasterio.open(path, "w", **profile) as target:
        target.write(values)
        target.descriptions, target.scales, target.offsets = names, scales, offsets
    return path


@pytest.fixture(scope="module")
def small_area(sample):
    """An area of 1.5 km in the sample's middle: one block."""
    with rasterio.open(sample / "imagery.tif") as source:
        left, bottom, right, top = source.bounds
        x, y, crs = (left + right) / 2, (bottom + top) / 2, source.crs
    west, south, east, north = rasterio.warp.transform_bounds(crs, "EPSG:4326", x - 750, y - 750, x + 750, y + 750)
    return {"bbox": [west, south, east, north]}


def test_twenty_small_jobs_finish_while_a_large_one_runs(client, large_image, small_area):
    upload = client.upload(large_image)["upload"]
    large = client.submit(PROCESS, {"inputs": {"imagery": {"uploads": [upload]}, "outputs": ["map"]}})["jobID"]
    limit = time.monotonic() + 120
    while (status := client.status(large))["blocks"]["done"] < 2:
        assert status["status"] not in ENDED, status
        assert time.monotonic() < limit, status
        time.sleep(0.2)
    stac = {"collection": "procedural-sentinel-2", "datetime": DATES}
    inputs = {"aoi": small_area, "imagery": {"stac": stac}, "outputs": ["map"]}
    jobs = [client.submit(PROCESS, {"inputs": inputs})["jobID"] for _ in range(20)]
    limit = time.monotonic() + 180
    while any((status := client.status(job))["status"] not in ENDED for job in jobs):
        assert time.monotonic() < limit, status
        time.sleep(0.5)
    assert {client.status(job)["status"] for job in jobs} == {"successful"}
    assert all(client.status(job)["blocks"]["total"] == 1 for job in jobs)
    going_on = client.status(large)
    assert going_on["status"] == "running", going_on
    assert 2 <= going_on["blocks"]["done"] < going_on["blocks"]["total"]
    client.dismiss(large)
