"""The bills of what ships, made once: listing an environment takes seconds."""

from __future__ import annotations

import pytest

from supply.sbom import BILLS, Bill


@pytest.fixture(scope="session")
def bills() -> dict[str, Bill]:
    return {name: bill() for name, bill in BILLS.items()}
