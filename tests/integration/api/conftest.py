"""The application in this process with a queue of its own, and the same with its queue away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobs.settings import Settings
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import Api, settings_in


@pytest.fixture(scope="package")
def valkey() -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey() as valkey:
        yield valkey


@pytest.fixture
def settings(valkey: EmbeddedValkey, tmp_path: Path) -> Settings:
    redis.Redis.from_url(valkey.url(0)).flushall()
    return settings_in(tmp_path, broker_url=valkey.broker_url(0), live_url=valkey.url(1))


@pytest.fixture
def api(settings: Settings) -> Api:
    return Api(settings)


@pytest.fixture
def down(tmp_path: Path) -> Api:
    """The interface while the queue is away."""
    return Api(settings_in(tmp_path))
