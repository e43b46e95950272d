"""Takes the pictures of the web page that the documents show: `make pictures`.

It starts the whole stack, maps the procedural sample city from the page as a person would, and writes every step to
docs/images. Look at each of them afterwards.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from service.stack.embedded import EmbeddedStack
from service.stack.sample import make_sample
from tests.browser.web import Web, choose_archive, give_file, map_of, paste_area
from tests.servers.stac import StaticServer

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
SECOND_MAP = {"swipe", "compare"}  # a second map takes longer to be drawn without a graphics card
SLOW = 0.12  # seconds an image of the archive takes, so that the running job can be seen


def save(page: Page, name: str, *, running: bool = False) -> None:
    """Write what the window shows, once every tile has come; while a job is `running`, its events never end."""
    if not running:
        page.wait_for_load_state("networkidle")
    page.wait_for_timeout(4000 if name in SECOND_MAP else 1500)
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").save(IMAGES / f"web-{name}.png", optimize=True)
    print(f"docs/images/web-{name}.png")  # noqa: T201 - a command tells what it does


def show(page: Page, heading: str) -> None:
    """Bring a part of the panel to its top."""
    page.get_by_text(heading, exact=True).first.evaluate("one => one.scrollIntoView()")


def journey(web: Web, sample: Path, archive: StaticServer) -> str:
    """Go from an empty form to a finished map, and return its job."""
    page = web.open()
    map_of(page)
    save(page, "start")
    west, south, east, north = bounds(sample)
    paste_area(page, f"{west} {south} {east} {north}")
    page.get_by_text("Paste GeoJSON or coordinates").click()
    save(page, "area")
    choose_archive(page, f"{archive.url}/catalog.json")
    give_file(page, "Buildings with heights", sample / "buildings.gpkg")
    give_file(page, "Parcels", sample / "parcels.gpkg")
    page.get_by_label("Name of the map").fill("Sample city (procedural, no real place)")
    expect(page.get_by_role("button", name="Start mapping")).to_be_enabled()
    show(page, "What gets one class")
    save(page, "estimate")
    page.get_by_role("button", name="Start mapping").click()
    expect(page.get_by_text(re.compile("[34] of 6 blocks"))).to_be_visible(timeout=120_000)
    save(page, "progress", running=True)
    expect(page.locator(".state")).to_have_text("finished", timeout=120_000)
    save(page, "map")
    return page.url.rsplit("/", 1)[1]


def finished(web: Web, job: str, other: str) -> None:
    """Look at a finished map from all sides."""
    page = web.open(f"#/maps/{job}")
    expect(page.locator(".downloads")).to_be_visible()
    click_a_parcel(page)
    show(page, "What is here")
    save(page, "click")
    page.reload()
    expect(page.locator(".downloads")).to_be_visible()
    show(page, "Take it home")
    save(page, "downloads")
    show(page, "Use it elsewhere")
    save(page, "elsewhere")
    page.get_by_label("Colours easy to tell apart").check()
    page.locator("main").evaluate("panel => panel.scrollTo(0, 0)")
    save(page, "safe")
    page.get_by_label("Colours easy to tell apart").uncheck()
    page.get_by_label("Swipe against the imagery").check()
    save(page, "swipe")
    page.goto(f"{web.url}/#/compare/{job}/{other}")
    expect(page.locator(".legend")).to_be_visible()
    save(page, "compare")
    page.goto(f"{web.url}/#/maps")
    expect(page.locator(".jobs li").first).to_be_visible()
    save(page, "list")
    phone = web.open(f"#/maps/{job}", width=390, height=844)
    expect(phone.locator(".downloads")).to_be_visible()
    save(phone, "phone")


def click_a_parcel(page: Page) -> None:
    """Go nearer, and click here and there until a place is in a parcel and not on a street."""
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
        page.wait_for_timeout(800)
    box = map_of(page).bounding_box() or {"x": 0, "y": 0, "width": 0, "height": 0}
    for share in (0.5, 0.53, 0.56, 0.59, 0.62):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + share * box["height"])
        page.wait_for_timeout(1500)
        if page.get_by_role("heading", name="Parcel").is_visible():
            return


def without_parcels(url: str, job: str) -> str:
    """Decide the same map pixel by pixel, to compare it with; returns its job when it is finished."""
    inputs = {"title": "The same, pixel by pixel", "imagery": {"job": job}, "units": "pixel", "outputs": ["map"]}
    with httpx.Client(base_url=url, timeout=60) as client:
        started = client.post("/processes/local-climate-zones/execution", json={"inputs": inputs}).raise_for_status()
        other = str(started.json()["jobID"])
        while client.get(f"/jobs/{other}").json()["status"] != "successful":
            pass
    return other


def bounds(sample: Path) -> tuple[float, float, float, float]:
    """West, south, east and north of the sample city."""
    ring = json.loads((sample / "aoi.geojson").read_text(encoding="utf-8"))["geometry"]["coordinates"][0]
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    return min(xs), min(ys), max(xs), max(ys)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with sync_playwright() as drive:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = drive.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def main() -> None:
    """Take every picture."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory()))
        sample = make_sample(folder)
        archive = opened.enter_context(StaticServer(sample))
        archive.slow = SLOW
        overrides = {
            "CITYZONES_STAC_ALLOWED": f"{archive.url}/catalog.json", "CITYZONES_BLOCK_PIXELS": "240",
            "CITYZONES_AUTH": "open",
        }  # fmt: skip
        stack = opened.enter_context(EmbeddedStack(folder, overrides=overrides))
        web = Web(opened.enter_context(chromium()), stack.url)
        job = journey(web, sample, archive)
        finished(web, job, without_parcels(stack.url, job))


if __name__ == "__main__":
    main()
