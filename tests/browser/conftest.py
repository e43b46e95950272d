"""Chromium for the tests of pages; a missing one is a skip, and a failure where CI=true."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.missing import without


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        without("Chromium is not installed: apt install chromium")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium driven by Playwright. It ends with the module: while it runs, nothing else may have an event loop."""
    with sync_playwright() as drive:
        launched = drive.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture
def tidy(browser: Browser) -> Iterator[None]:
    """Close what a test has opened: pages go on drawing and asking otherwise."""
    yield
    for context in browser.contexts:
        context.close()


@pytest.fixture
def command(chromium, tmp_path):
    """Chromium without a window and without a network beyond this machine."""
    return [
        *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
    ]


@pytest.fixture
def browse(command, tmp_path):
    """Open an address and return its DOM after its scripts ran, and a screenshot."""

    def open_page(address: str, *, width: int = 1200) -> tuple[str, Path]:
        picture = tmp_path / "page.png"
        sized = [*command, f"--window-size={width},1600"]
        shot = [*sized, f"--screenshot={picture}", address]
        subprocess.run(shot, capture_output=True, timeout=90, check=True)
        dom = subprocess.run([*sized, "--dump-dom", address], capture_output=True, text=True, timeout=90, check=True)
        return dom.stdout, picture

    return open_page


@pytest.fixture
def follow(command):
    """Open an address, let what it waits for happen, and return its DOM and what its console said."""

    def open_page(address: str, *, seconds: int = 10) -> tuple[str, list[str]]:
        patient = [*command, f"--virtual-time-budget={1000 * seconds}", "--enable-logging=stderr", "--dump-dom"]
        ran = subprocess.run([*patient, address], capture_output=True, text=True, timeout=90, check=True)
        return ran.stdout, [line for line in ran.stderr.splitlines() if "CONSOLE" in line]

    return open_page
