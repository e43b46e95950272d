"""The whole journey on the whole stack: draw, estimate, start, watch, look, click, take home."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from rasterio.warp import transform

from models.classes import LOCAL_CLIMATE_ZONES
from service.stack.embedded import EmbeddedStack
from tests.browser.web import (
    Web,
    choose_archive,
    draw_rectangle,
    drop,
    field_of,
    give_file,
    map_of,
    overflow,
    paste_area,
)
from tests.servers.stac import StaticServer

pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("tidy")]


@pytest.fixture(scope="module")
def where(sample: Path) -> str:
    """The sample city as people write bounds: west, south, east, north."""
    corners = np.array(json.loads((sample / "aoi.geojson").read_text())["geometry"]["coordinates"][0])
    return ", ".join(f"{number:.5f}" for number in (*corners.min(axis=0), *corners.max(axis=0)))


@pytest.fixture
def web(stack: EmbeddedStack, browser: Browser) -> Web:
    return Web(browser, stack.url)


@pytest.fixture
def sleepy(archive: StaticServer) -> Iterator[StaticServer]:
    """An archive whose images take their time, so that there is something to watch."""
    archive.slow = 0.15
    yield archive
    archive.slow = 0.0


def start(page: Page) -> str:
    """Start the job once there is an estimate, and return its id."""
    page.get_by_role("button", name="Start mapping").click()
    expect(page).to_have_url(re.compile("#/maps/job_"))
    return page.url.rsplit("/", 1)[1]


def colours(page: Page) -> int:
    """How many of a hundred thousand pixels in the middle of the map are neither paper nor line."""
    with Image.open(io.BytesIO(map_of(page).screenshot())) as picture:
        middle = np.asarray(picture.convert("RGB"), int)
    spread = middle.max(axis=2) - middle.min(axis=2)
    return int(1e5 * np.mean(spread > 60))


def test_an_area_is_drawn_watched_being_mapped_looked_at_and_taken_home(
    stack: EmbeddedStack, web: Web, sample: Path, where: str, sleepy: StaticServer, tmp_path: Path
) -> None:
    page = web.open()
    paste_area(page, where)
    page.get_by_role("button", name="Remove area").click()
    expect(page.get_by_text("No area yet.")).to_be_visible()
    draw_rectangle(page)
    expect(page.locator(".size")).to_contain_text("km²")
    choose_archive(page, f"{sleepy.url}/catalog.json")
    give_file(page, "Parcels", sample / "parcels.gpkg")
    expect(page.get_by_label("Field of the parcel's id")).to_have_value("parcel_id")
    give_file(page, "Buildings with heights", sample / "buildings.gpkg")
    page.get_by_label("Name of the map").fill("A <b>drawn</b> city")
    expect(page.locator(".estimate")).to_contain_text("pixels of 10 m")
    expect(page.locator(".estimate dl")).to_contain_text(re.compile("Blocks[2-9]"))
    before = colours(page)
    with page.expect_response(re.compile(r"/blocks/r\d+c\d+\.png"), timeout=90_000):
        job = start(page)
    expect(page.locator("h1")).to_have_text("A <b>drawn</b> city")
    expect(page.locator(".progress progress")).to_be_visible()
    while colours(page) <= before:
        expect(page.locator(".progress")).to_be_visible()
    expect(page.locator(".state")).to_have_text("finished", timeout=120_000)
    expect(page.locator(".legend").first).to_contain_text("km²")
    results = httpx.get(f"{stack.url}/jobs/{job}/results").json()
    assert {"map", "parcels", "uncertainty", "image"} <= results.keys()
    with page.expect_download() as coming:
        page.get_by_role("link", name="Class map").click()
    coming.value.save_as(tmp_path / "map.tif")
    told = results["map"]["file:checksum"]
    assert told.endswith(hashlib.sha256((tmp_path / "map.tif").read_bytes()).hexdigest())
    clicked(page, tmp_path / "map.tif")
    taken_elsewhere(page, results)
    swiped(page)


def clicked(page: Page, path: Path) -> None:
    """A click tells the class that the map has at the place, and more."""
    map_of(page).click()
    answer = page.locator(".answer")
    expect(answer).to_contain_text("Confidence")
    expect(answer).to_contain_text(re.compile(r"What decided(the spectrum|the buildings) to \d+%"))
    north, east = (float(number) for number in re.findall(r"[\d.]+(?=°)", page.locator(".place").inner_text()))
    with rasterio.open(path) as dataset:
        (x,), (y,) = transform("EPSG:4326", dataset.crs, [east], [north])
        code = int(next(dataset.sample([(x, y)]))[0])
    (found,) = (c for c in LOCAL_CLIMATE_ZONES if c.code == code)
    expect(answer.locator("dd").first).to_contain_text(f"{found.label} {found.name}")


def taken_elsewhere(page: Page, results: dict[str, dict[str, str]]) -> None:
    """The commands that are offered do what they say."""
    command = page.locator("pre").inner_text().split("\n\n")[1]
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert results["map"]["file:checksum"] in ran.stdout
    page.get_by_role("button", name="QGIS").click()
    address = page.locator("pre").inner_text().replace("{z}", "12").replace("{x}", "2247").replace("{y}", "1265")
    assert httpx.get(address).headers["content-type"] == "image/png"


def swiped(page: Page) -> None:
    """The imagery lies over the map, left of a divider that keys move."""
    plain = colours(page)
    with page.expect_response(re.compile("layer=image")):
        page.get_by_label("Swipe against the imagery").check()
    page.get_by_label("Position of the divider").fill("100")
    expect(page.locator("#swipe canvas")).to_be_visible()
    while colours(page) >= plain / 2:
        page.wait_for_timeout(100)
    page.get_by_label("Swipe against the imagery").uncheck()
    expect(page.locator("#swipe canvas")).to_have_count(0)


def test_a_broken_file_that_is_dropped_is_told_beside_its_field(web: Web, sample: Path) -> None:
    page = web.open()
    parcels, area = field_of(page, "Parcels"), field_of(page, "GeoJSON, GeoPackage or GeoParquet")
    whole = (sample / "parcels.gpkg").read_bytes()
    drop(parcels.locator(".drop"), "plots.gpkg", whole[:4000])
    expect(parcels.locator(".fault")).to_contain_text("plots.gpkg")
    drop(area.locator(".drop"), "city.geojson", b'{"type": "Polygon", "coordinates": [[[1,')
    expect(area.locator(".fault")).to_contain_text("city.geojson")
    expect(page.locator(".file b")).to_have_count(0)
    drop(parcels.locator(".drop"), "plots.gpkg", whole)
    expect(parcels.locator(".file b")).to_have_text("plots.gpkg")
    expect(parcels.locator(".fault")).to_have_count(0)


def test_an_area_is_dropped_onto_the_map_and_outlives_a_reload(web: Web, sample: Path) -> None:
    page = web.open()
    drop(map_of(page), "aoi.geojson", (sample / "aoi.geojson").read_bytes())
    expect(page.locator(".size")).to_contain_text("km²")
    size = page.locator(".size b").inner_text()
    page.reload()
    expect(page.locator(".size b")).to_have_text(size)


def test_what_the_service_refuses_stands_beside_the_field(web: Web, where: str) -> None:
    page = web.open()
    choose_archive(page)
    paste_area(page, "-30, 30, 40, 70")
    expect(page.locator(".size.bad")).to_contain_text("Too large")
    expect(page.locator("#fault-inputs-aoi")).to_contain_text("km")
    expect(page.get_by_role("button", name="Start mapping")).to_be_disabled()
    paste_area(page, where)
    expect(page.locator("#fault-inputs-aoi")).to_have_count(0)
    page.get_by_label("Clouds at most").fill("120")
    expect(page.locator("#fault-inputs-imagery-stac-max_cloud_cover")).to_contain_text("100")
    page.get_by_label("Clouds at most").fill("20")
    expect(page.get_by_role("button", name="Start mapping")).to_be_enabled()


def test_a_job_is_cancelled(stack: EmbeddedStack, web: Web, where: str, sleepy: StaticServer) -> None:
    sleepy.slow = 3.0
    page = web.open()
    paste_area(page, where)
    choose_archive(page, f"{sleepy.url}/catalog.json")
    job = start(page)
    page.get_by_role("button", name="Cancel this map").click()
    expect(page.get_by_role("alertdialog")).to_contain_text("Cancel it?")
    page.get_by_role("button", name="Yes").click()
    expect(page.locator(".state")).to_have_text("cancelled")
    assert httpx.get(f"{stack.url}/jobs/{job}").json()["status"] == "dismissed"
    page.get_by_role("button", name="Use these settings again").click()
    expect(page.get_by_label("Collection")).to_have_value("procedural-sentinel-2")
    expect(page.locator(".size")).to_contain_text("km²")


def test_it_works_on_a_phone(web: Web, where: str) -> None:
    page = web.open(width=390, height=844)
    assert overflow(page) <= 0
    paste_area(page, where)
    choose_archive(page)
    page.get_by_role("button", name="Take what the map shows").click()
    start(page)
    expect(page.locator(".state")).to_have_text("finished", timeout=120_000)
    expect(page.locator(".legend").first).to_be_visible()
    assert overflow(page) <= 0
    page.get_by_role("link", name="My maps").click()
    expect(page.locator(".jobs li").first).to_be_visible()
    assert overflow(page) <= 0
