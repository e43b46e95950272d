"""The web page beside the journey: keys, links that end, comparing, who else can use it, and how heavy it is."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Response, expect

from jobs.area import Grid
from jobs.keys import KeyStore
from jobs.request import parse_execute
from jobs.storage import Storage
from service.bundle import FOLDER
from service.stack.valkey import EmbeddedValkey
from tests.browser.web import Web, map_of, overflow, paste_area, serious
from tests.servers.api import EXECUTE, LCZ, Served, finish, store_of
from tests.unit.test_tiles_drawing import write_map

pytestmark = pytest.mark.usefixtures("tidy")
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
GRID = Grid("EPSG:32633", 390_000, 5_820_000, 10.0, 600, 500)
TENANT = "browser"
SHORT = 4  # seconds a link works here
MEGABYTE = 1_000_000


@dataclass
class Office:
    """A service that asks for keys, two finished maps of its only tenant, and a browser."""

    served: Served
    web: Web
    key: str
    jobs: tuple[str, str]
    cog: bytes

    def open(self, at: str = "", **told: int) -> Page:
        return self.web.open(at, key=self.key, **told)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Office]:
    cog = write_map(tmp_path_factory.mktemp("map") / "map.tif", GRID).read_bytes()
    with EmbeddedValkey() as valkey:
        environment = {
            "CITYZONES_BROKER_URL": valkey.broker_url(0),
            "CITYZONES_LIVE_URL": valkey.url(1),
            "CITYZONES_AUTH": "keys",
            "CITYZONES_LINK_SECONDS": str(SHORT),
        }
        with Served(tmp_path_factory.mktemp("served"), environment) as served:
            key = KeyStore(Storage(served.settings)).create(TENANT, ["read", "submit"]).text
            jobs = tuple(_finished(served, cog, title) for title in ("First", "Second"))
            yield Office(served, Web(browser, served.url), key, jobs, cog)  # type: ignore[arg-type]


def _finished(served: Served, cog: bytes, title: str) -> str:
    store = store_of(served.settings)
    body = {**EXECUTE, "inputs": {**EXECUTE["inputs"], "title": title}}
    job = store.create(LCZ, parse_execute(body), tenant=TENANT).job
    finish(store, job, {"map": ("map.tif", COG, cog), "confidence": ("confidence.tif", COG, cog)})
    return job


def test_a_key_is_asked_for_once_and_stays_in_the_session(office: Office) -> None:
    page = office.web.open("#/maps")
    expect(page.get_by_role("dialog")).to_contain_text("asks for an API key")
    page.locator("input[type=password]").fill("cz_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("not accepted")
    page.locator("input[type=password]").fill(office.key)
    page.keyboard.press("Enter")
    expect(page.locator(".jobs li")).to_have_count(2)
    page.reload()
    expect(page.locator(".jobs li")).to_have_count(2)
    stored = page.evaluate("[JSON.stringify(localStorage), document.cookie, location.href].join()")
    assert office.key not in stored
    other = office.web.open("#/maps")
    expect(other.get_by_role("dialog")).to_be_visible()


def test_links_that_have_ended_are_made_afresh(office: Office, tmp_path: Path) -> None:
    page = office.open()
    page.clock.install(time=time.time() - 3600)  # a machine whose clock is slow never learns that a link has ended
    page.goto(f"{office.served.url}/#/maps/{office.jobs[0]}")
    page.reload()
    link = page.get_by_role("link", name="map", exact=True)
    expect(link).to_be_visible()
    map_of(page)
    ended = link.get_attribute("href") or ""
    time.sleep(SHORT + 2)
    assert page.request.get(ended).status == 403
    with page.expect_download() as coming:
        link.click()
    coming.value.save_as(tmp_path / "map.tif")
    assert hashlib.sha256((tmp_path / "map.tif").read_bytes()).digest() == hashlib.sha256(office.cog).digest()
    drawn: list[int] = []
    page.on("response", lambda answer: drawn.append(answer.status) if ".png" in answer.url else None)
    page.get_by_role("button", name="Zoom in").click()
    for _ in range(200):
        page.wait_for_timeout(100)
        if 200 in drawn:
            break
    assert 403 in drawn
    assert 200 in drawn


def test_two_maps_are_found_and_compared(office: Office) -> None:
    page = office.open("#/maps")
    expect(page.locator(".jobs li")).to_have_count(2)
    for name in ("First", "Second"):
        page.get_by_label(f"Choose {name} to compare").check()
    page.get_by_role("button", name="Compare the two chosen").click()
    expect(page.locator("#swipe canvas")).to_be_visible()
    rows = page.locator(".legend tbody tr")
    expect(rows.first).to_contain_text("0.0%")
    map_of(page).click(position={"x": 300, "y": 300})
    expect(page.locator(".answer")).to_have_count(2)
    page.get_by_label("Colours easy to tell apart").check()
    with page.expect_response(re.compile("palette=safe")):
        page.get_by_role("button", name="Swap sides").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(office: Office, scheme: str) -> None:
    page = office.open()
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    map_of(page)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    paste_area(page, "13, 52, 13.1, 52.1")
    expect(page.locator(".size")).to_be_visible()
    found = serious(page)
    for at in ("#/maps", f"#/maps/{office.jobs[0]}", f"#/compare/{office.jobs[0]}/{office.jobs[1]}"):
        page.goto(f"{office.served.url}/{at}")
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator(".legend tbody tr, .jobs li").first).to_be_visible()
        found += serious(page)
    assert found == []


def test_everything_is_reached_by_keys(office: Office) -> None:
    page = office.open()
    map_of(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Skip the map")).to_be_focused()
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.innerText"))
    assert {"Draw rectangle", "Take what the map shows"} <= reached
    paste_area(page, "13, 52, 13.1, 52.1")
    page.get_by_role("button", name="Draw polygon").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Click corner after corner")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Click corner after corner")).to_have_count(0)


def test_an_unknown_address_and_an_unknown_map_say_so(office: Office) -> None:
    page = office.open()
    page.goto(f"{office.served.url}/#/maps/job_{'0' * 26}")
    expect(page.locator(".problem")).to_contain_text("there is no job")
    page.goto(f"{office.served.url}/#/%3Cscript%3E")
    expect(page.get_by_text("There is no such page.")).to_be_visible()


def test_it_stays_within_a_narrow_window(office: Office) -> None:
    for at in ("", "#/maps", f"#/maps/{office.jobs[0]}", f"#/compare/{office.jobs[0]}/{office.jobs[1]}"):
        page = office.open(at, width=320, height=640)
        assert overflow(page) <= 0, at


def test_a_first_visit_weighs_less_than_a_megabyte_and_asks_nobody_else(office: Office) -> None:
    page = office.web.browser.new_context().new_page()
    page.add_init_script(f"sessionStorage.setItem('cityzones-key', '{office.key}')")
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - Playwright takes no built-in
    page.goto(office.served.url)
    map_of(page)
    expect(page.get_by_text("What to map")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert {answer.url.startswith(office.served.url) for answer in answers} == {True}
    sizes = {answer.url: answer.request.sizes() for answer in answers}
    weights = {url: size["responseBodySize"] + size["responseHeadersSize"] for url, size in sizes.items()}
    assert any("stage" in url for url in weights)
    assert MEGABYTE / 10 < sum(weights.values()) < MEGABYTE, weights
    assert all(answer.headers.get("content-encoding") == "br" for answer in answers if "/assets/" in answer.url)


def test_a_base_map_is_drawn_with_its_source_and_gets_no_key(tmp_path: Path, browser: Browser) -> None:
    tile = io.BytesIO()
    Image.new("RGB", (256, 256), (20, 160, 120)).save(tile, "PNG")
    asked: list[dict[str, str]] = []

    class Tiles(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(dict(self.headers))
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(tile.getvalue())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Tiles) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told = {
            "CITYZONES_BASEMAP_URL": f"http://127.0.0.1:{server.server_port}/{{z}}/{{x}}/{{y}}.png",
            "CITYZONES_BASEMAP_ATTRIBUTION": "Tiles & friends",
        }
        with Served(tmp_path, told) as served:
            page = Web(browser, served.url).open(key="cz_not_for_others")
            map_of(page)
            expect(page.get_by_text("Tiles & friends")).to_be_visible()
            page.wait_for_load_state("networkidle")
            picture = Image.open(io.BytesIO(map_of(page).screenshot())).convert("RGB")
        server.shutdown()
    assert picture.getpixel((picture.width // 2, picture.height // 2)) == (20, 160, 120)
    assert asked
    assert not any("Authorization" in headers or "Cookie" in headers for headers in asked)


def test_all_of_the_page_together_is_small(office: Office) -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.br")) < MEGABYTE


def test_settings_of_a_map_made_from_another_leave_a_way_back(office: Office) -> None:
    store = store_of(office.served.settings)
    job = store.create(LCZ, parse_execute({"inputs": {"imagery": {"job": office.jobs[0]}}}), tenant=TENANT).job
    page = office.open(f"#/maps/{job}")
    page.get_by_role("button", name="Use these settings again").click()
    expect(page.get_by_text("The area of the finished map is taken.")).to_be_visible()
    page.get_by_role("button", name="Choose other imagery").click()
    expect(page.get_by_label("From", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Draw rectangle")).to_be_visible()
