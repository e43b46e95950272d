"""The web page as a person uses it: what every test of it needs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from service import bundle
from tests.missing import without

AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
expect.set_options(timeout=20_000)  # maps are drawn without a graphics card
_DROP = """([name, text]) => {
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], name));
  return files;
}"""


@dataclass
class Web:
    """A browser at the page of a service; a page that complains in its console fails the test."""

    browser: Browser
    url: str

    def open(self, at: str = "", *, width: int = 1300, height: int = 900, key: str = "") -> Page:
        if not bundle.is_built():
            without("the web page is not built: make web")
        page = self.browser.new_context(viewport={"width": width, "height": height}).new_page()
        page.set_default_timeout(30_000)
        if key:
            page.add_init_script(f"sessionStorage.setItem('cityzones-key', '{key}')")
        listen(page)
        page.goto(f"{self.url}/{at}")
        expect(page.locator("#panel h1, dialog[open]").first).to_be_visible()
        return page


def listen(page: Page) -> None:
    """Fail the test where the page fails or complains in its console."""
    page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
    page.on("console", lambda said: _no_complaint(said.type, said.text))


def _no_complaint(kind: str, text: str) -> None:
    refused = "Failed to load resource: the server responded with a status of 4" in text
    assert kind != "error" or refused, text


def map_of(page: Page) -> Locator:
    """The map, once it is there."""
    canvas = page.locator("#map canvas")
    expect(canvas).to_be_visible()
    return canvas


def paste_area(page: Page, text: str) -> None:
    summary = page.get_by_text("Paste GeoJSON or coordinates")
    field = page.get_by_label("GeoJSON, or west, south, east, north")
    if not field.is_visible():
        summary.click()
    field.fill(text)
    page.get_by_role("button", name="Use it").click()


def draw_rectangle(page: Page) -> None:
    """Draw most of what the map shows by two clicks; of the sample city that is several blocks."""
    box = map_of(page).bounding_box()
    assert box
    page.get_by_role("button", name="Draw rectangle").click()
    expect(page.get_by_text("Click one corner on the map")).to_be_visible()
    for share in (0.07, 0.5, 0.88):
        x, y = box["x"] + share * box["width"], box["y"] + share * box["height"]
        page.mouse.move(x, y)
        if share != 0.5:
            page.mouse.click(x, y)


def choose_archive(page: Page, catalogue: str = "") -> None:
    """Take the sample's own archive, of all its days."""
    page.get_by_text("Archive settings").click()
    page.get_by_label("Collection", exact=True).fill("procedural-sentinel-2")
    page.get_by_label("Catalogue", exact=True).fill(catalogue)
    page.get_by_label("From", exact=True).fill("2000-01-01")
    page.get_by_label("To", exact=True).fill("2100-01-01")


def field_of(page: Page, label: str) -> Locator:
    """The field with this label, with its faults."""
    return page.locator(".field", has=page.locator(".label", has_text=label)).last


def drop(onto: Locator, name: str, data: bytes) -> None:
    """Drop a file, as from a folder on the desktop."""
    files = onto.page.evaluate_handle(_DROP, [name, base64.b64encode(data).decode()])
    onto.dispatch_event("drop", {"dataTransfer": files})


def give_file(page: Page, label: str, path: Path) -> None:
    """Choose a file in a field and wait until the service has taken it."""
    field_of(page, label).locator("input[type=file]").set_input_files(path)
    expect(field_of(page, label).locator(".file b")).to_have_text(path.name)


def serious(page: Page) -> list[str]:
    """What axe-core finds serious or critical on the page as it stands, the map's own canvas included."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
