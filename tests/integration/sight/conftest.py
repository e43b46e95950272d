"""A stack that is traced, writes its logs as JSON, and whose worker answers probes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.client import Client
from service.stack.embedded import EmbeddedStack
from service.stack.process import free_port
from tests.servers.collector import Collector
from tests.servers.receiver import Receiver


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="package")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="package")
def seen(tmp_path_factory: pytest.TempPathFactory, catalogue: str, collector: Collector) -> Iterator[EmbeddedStack]:
    overrides = {
        "CITYZONES_STAC_URL": catalogue,
        "CITYZONES_BLOCK_PIXELS": "240",
        "CITYZONES_CALLBACK_ALLOW_HTTP": "true",
        "CITYZONES_CALLBACK_HOSTS": "127.0.0.1/32",
        "CITYZONES_TRACING": "true",
        "CITYZONES_LOG_FORMAT": "json",
        "CITYZONES_WORKER_PORT": str(free_port()),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with EmbeddedStack(tmp_path_factory.mktemp("seen"), workers=2, overrides=overrides) as running:
        yield running


@pytest.fixture(scope="package")
def seer(seen: EmbeddedStack) -> Iterator[Client]:
    with Client(seen.url) as client:
        yield client


@pytest.fixture(scope="package")
def store(seen: EmbeddedStack) -> Path:
    return seen.folder / "store"
