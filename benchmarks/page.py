"""How long a first visit of the web page takes on this machine, and how much it loads: `python -m benchmarks.page`.

A service is started without workers or model server; every visit is by a browser that has seen nothing before. Times
count from the navigation: `form` until the form can be used, `map` until the map has drawn its first frame.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from playwright.sync_api import Browser, Response, expect, sync_playwright

from tests.servers.api import Served

VISITS: Final = 7
GOAL_BYTES: Final = 1_000_000
GOAL_SECONDS: Final = 1.5
_IDLE: Final = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def visit(browser: Browser, url: str) -> dict[str, float]:
    """Open the page as for the first time."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - Playwright takes no built-in
    started = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.get_by_role("button", name="Start mapping").wait_for()
    form = time.perf_counter() - started
    page.locator("#map canvas").wait_for()
    page.evaluate(_IDLE)
    drawn = time.perf_counter() - started
    expect(page.locator("h1")).to_be_visible()
    page.wait_for_load_state("networkidle")
    sizes = [answer.request.sizes() for answer in answers]
    loaded = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
    context.close()
    return {"form": form, "map": drawn, "bytes": loaded, "requests": len(answers)}


def measure(visits: int) -> dict[str, Any]:
    """Return medians over several first visits, and the very first, for which the service opens its storage."""
    with TemporaryDirectory() as folder, Served(Path(folder), {}) as served, sync_playwright() as drive:
        browser = drive.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        seen = [visit(browser, served.url) for _ in range(visits + 1)]
        browser.close()
    middle = {name: round(statistics.median(one[name] for one in seen[1:]), 3) for name in seen[0]}
    return middle | {"first": {name: round(value, 3) for name, value in seen[0].items()}, "visits": visits}


def main() -> None:
    """Print the figures, as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, default=VISITS)
    told = measure(parser.parse_args().visits)
    told["within_goals"] = told["bytes"] <= GOAL_BYTES and told["map"] <= GOAL_SECONDS
    print(json.dumps(told))
    sys.exit(not told["within_goals"])


if __name__ == "__main__":
    main()
