"""Chromium for the tests of pages; a missing one is a skip, and a failure where CI=true."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        message = "Chromium is not installed: apt install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture
def browse(chromium, tmp_path):
    """Open an address and return its DOM after its scripts ran, and a screenshot."""

    def open_page(address: str, *, width: int = 1200) -> tuple[str, Path]:
        picture = tmp_path / "page.png"
        command = [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1600"),
        ]
        shot = [*command, f"--screenshot={picture}", address]
        subprocess.run(shot, capture_output=True, timeout=90, check=True)
        dom = subprocess.run([*command, "--dump-dom", address], capture_output=True, text=True, timeout=90, check=True)
        return dom.stdout, picture

    return open_page
