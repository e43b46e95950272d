"""The annotation pages in a real browser: keys and clicks end as edits, and nobody's work is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from jobs.keys import KeyStore
from jobs.request import parse_execute
from jobs.storage import Storage
from service.stack.valkey import EmbeddedValkey
from tests.browser.web import listen
from tests.servers.api import LCZ, Served, store_of
from tests.servers.projects import BLOCK, SQUARE, Squares, squares_project

TENANT = "browser"
IN_BLOCK = (BLOCK // SQUARE) ** 2


@dataclass
class Desk:
    """A served interface that asks for keys, a browser, and what pages said that they should not have."""

    served: Served
    browser: Browser
    key: str

    def project(self) -> Squares:
        store = store_of(self.served.settings)
        job = store.create(LCZ, parse_execute({"inputs": {"imagery": {"uploads": ["upl_" + "0" * 26]}}}), tenant=TENANT)
        return squares_project(store, job.job)

    def ask(self, squares: Squares, path: str = "") -> Any:
        url = f"{self.served.url}/jobs/{squares.job}/annotation{path}"
        return httpx.get(url, headers={"Authorization": f"Bearer {self.key}"}).raise_for_status().json()

    def open(self, squares: Squares, part: str = "", *, key: bool = True, width: int = 1300) -> Page:
        """Open a project; a page that complains in its console fails the test when it is closed."""
        page = self.browser.new_context(viewport={"width": width, "height": 800}).new_page()
        page.set_default_timeout(15_000)
        if key:
            page.add_init_script(f"sessionStorage.setItem('cityzones-key', '{self.key}')")
        listen(page)
        page.goto(f"{self.served.url}/annotate#{squares.job}{part}")
        return page


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Desk]:
    with EmbeddedValkey() as valkey:
        environment = {
            "CITYZONES_BROKER_URL": valkey.broker_url(0),
            "CITYZONES_LIVE_URL": valkey.url(1),
            "CITYZONES_AUTH": "keys",
        }
        with Served(tmp_path_factory.mktemp("served"), environment) as served:
            made = KeyStore(Storage(served.settings)).create(TENANT, ["read", "submit"])
            yield Desk(served, browser, made.text)


@pytest.fixture
def squares(desk: Desk) -> Squares:
    return desk.project()


def test_a_neighbourhood_is_labelled_by_keys_alone(desk: Desk, squares: Squares) -> None:
    page = desk.open(squares, "/n/1")
    expect(page.locator(".cell").first).to_be_visible()
    first = page.locator(".cell").count()
    expect(page.locator(".cell[aria-selected=true]")).to_have_count(first)
    page.keyboard.press("5")
    expect(page.locator("#told")).to_contain_text(f"{first} masks → Tree")
    expect(page.locator(".cell")).to_have_count(IN_BLOCK - first)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")  # leave the second mask out
    page.keyboard.press("8")
    expect(page.locator("#told")).to_contain_text(f"{IN_BLOCK - first - 1} masks → Building")
    expect(page.locator("#facts")).to_contain_text(f"labelled{IN_BLOCK - 1} / 128")
    page.keyboard.press("u")
    expect(page.locator("#told")).to_contain_text("Version 2 is taken back")
    told = desk.ask(squares)
    assert (told["version"], told["labelled"], told["actions"]) == (3, first, 3)
    page.context.close()


def test_a_cluster_is_split_until_its_halves_are_pure(desk: Desk, squares: Squares) -> None:
    page = desk.open(squares, "/n/0")
    expect(page.locator("#list li")).to_have_count(2)
    expect(page.locator(".cell").first).to_be_visible()
    before = page.locator(".cell").count()
    page.keyboard.press("s")
    expect(page.locator("#list li")).to_have_count(3)
    expect(page.locator("#told")).to_contain_text("split in two")
    assert page.locator(".cell").count() < before
    clusters = desk.ask(squares, "/neighbourhoods/0")["clusters"]
    assert sum(cluster["masks"] for cluster in clusters) == IN_BLOCK
    page.context.close()


def test_of_two_annotators_the_second_is_told(desk: Desk, squares: Squares) -> None:
    ana, ben = desk.open(squares, "/n/2"), desk.open(squares, "/n/2")
    for page, name in ((ana, "Ana"), (ben, "Ben")):
        expect(page.locator(".cell").first).to_be_visible()
        page.fill("#who", name)
        page.locator(".cell").first.focus()
    ana.keyboard.press("5")
    expect(ana.locator("#told")).to_contain_text("Tree")
    ben.keyboard.press("8")
    expect(ben.locator("#told")).to_contain_text("Ana changed")
    expect(ben.locator("#told")).to_have_class("bad")
    entries = desk.ask(squares, "/history")["entries"]
    assert [(entry["who"], entry["code"]) for entry in entries] == [("Ana", 5)]
    expect(ben.locator(".cell .chip").first).to_have_text("5")  # what Ana did is in sight now
    ben.keyboard.press("a")
    ben.keyboard.press("8")
    expect(ben.locator("#told")).to_contain_text("Building")
    assert [entry["who"] for entry in desk.ask(squares, "/history")["entries"]] == ["Ben", "Ana"]
    ana.context.close()
    ben.context.close()


def test_a_page_that_closes_in_mid_save_has_saved(desk: Desk, squares: Squares) -> None:
    page = desk.open(squares, "/n/3")
    expect(page.locator(".cell").first).to_be_visible()
    count = page.locator(".cell").count()
    with page.expect_request("**/edits"):
        page.keyboard.press("6")
    page.close()
    for _ in range(100):
        told = desk.ask(squares)
        if told["version"]:
            break
    assert (told["version"], told["labelled"]) == (1, count)


def test_the_refinement_page_finds_masks_under_clicks(desk: Desk, squares: Squares) -> None:
    squares.predict(0)
    page = desk.open(squares, "/tile/1")
    image, classes = page.locator("canvas").first, page.locator("canvas").last
    expect(image).to_be_visible()
    size = image.evaluate("c => ({width: c.clientWidth, height: c.clientHeight})")
    scale = min(size["width"], size["height"]) / 256
    left, top = (size["width"] - 256 * scale) / 2, (size["height"] - 256 * scale) / 2

    def place(column: int, row: int) -> Any:
        return {"x": left + (column + 0.5) * SQUARE * scale, "y": top + (row + 0.5) * SQUARE * scale}

    image.click(position=place(2, 1))
    expect(page.locator(".chosen")).to_contain_text("mask 74,")  # 64 masks of the first tile, a row of 8, and 2
    page.keyboard.press("6")
    expect(page.locator("#corrections li")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".chosen")).to_contain_text("mask 75,")
    page.keyboard.press("y")
    expect(page.locator("#corrections li")).to_have_count(2)
    classes.click(position=place(7, 7))
    expect(page.locator(".chosen")).to_contain_text("mask 127,")
    codes = desk.ask(squares, "/tiles/1")["codes"]
    assert {n: code for n, code in enumerate(codes) if code} == {10: 6, 11: squares.truth[75]}
    page.get_by_label("Delete the correction of mask 74").click()
    expect(page.locator("#corrections li")).to_have_count(1)
    assert desk.ask(squares, "/tiles/1")["codes"][10] == 0
    page.context.close()


def test_suggestions_come_in_groups_and_are_accepted_by_one_key(desk: Desk, squares: Squares) -> None:
    squares.predict(0)
    page = desk.open(squares, "/n/0")
    expect(page.locator("#list [aria-current]")).to_contain_text("-")
    expect(page.locator(".cell").first).to_be_visible()
    count = page.locator(".cell").count()
    expect(page.locator("#status")).to_contain_text("agreement 100 %")
    page.keyboard.press("y")
    expect(page.locator("#told")).to_contain_text(f"{count} suggestions accepted")
    codes = desk.ask(squares, "/tiles/0")["codes"]
    assert [code for code in codes if code] == [squares.truth[n] for n, code in enumerate(codes) if code]
    assert desk.ask(squares)["actions"] == 1
    page.context.close()


def test_without_a_key_the_page_asks_for_one(desk: Desk, squares: Squares) -> None:
    page = desk.open(squares, key=False)
    page.get_by_label("API key").fill(desk.key)
    page.keyboard.press("Enter")
    expect(page.locator(".cell").first).to_be_visible()
    assert page.evaluate("Object.values(localStorage)") == []
    page.context.close()


def test_it_fits_a_narrow_window(desk: Desk, squares: Squares) -> None:
    page = desk.open(squares, width=420)
    expect(page.locator(".cell").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.context.close()
