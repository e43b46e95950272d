"""What a test does about something that is not there: it is a skip on a desk, and a failure where CI=true."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def without(message: str) -> NoReturn:
    """End the test that asks, as it cannot go on."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
