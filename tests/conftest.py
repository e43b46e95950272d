"""Fixtures every tier shares: where the real data lie, and folders of a test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data beside the checkout; absent is a skip, and a failure where CI=true."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        message = f"real data are not at {folder}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
