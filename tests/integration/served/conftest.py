"""`bentoml serve` with a queue and a real model server: the default network, and the tests' own tiny one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.store import JobStore
from models.cards import cards
from models.serving import build_repository
from service.stack.triton import EmbeddedTriton
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import Served, store_of
from tests.servers.cards import write_cards
from tests.servers.tiny_model import tiny_card, write_tiny_model


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="package")
def triton(folder: Path) -> Iterator[EmbeddedTriton]:
    card = tiny_card()
    write_tiny_model(folder / "cache" / card.weights.file)
    bundled = [known for known in cards().values() if known.weights.bundled]
    build_repository(folder / "repository", [card, *bundled], cache=folder / "cache")
    with EmbeddedTriton(folder / "repository", logs=folder, supervise_every=0) as server:
        yield server


@pytest.fixture(scope="package")
def valkey() -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey() as valkey:
        yield valkey


@pytest.fixture(scope="package")
def environment(folder: Path, valkey: EmbeddedValkey, triton: EmbeddedTriton) -> dict[str, str]:
    return {
        "CITYZONES_BROKER_URL": valkey.broker_url(0),
        "CITYZONES_LIVE_URL": valkey.url(1),
        "CITYZONES_TRITON_URL": triton.grpc_url,
        "CITYZONES_MAX_UPLOAD_BYTES": "50000000",
    }


@pytest.fixture(scope="package")
def tiny_first(folder: Path) -> Path:
    """Give the server the tests' own network beside the real ones."""
    return write_cards(folder / "with-tiny", tiny_card())


@pytest.fixture(scope="package")
def served(folder: Path, environment: dict[str, str], tiny_first: Path) -> Iterator[Served]:
    with Served(folder, environment, path=tiny_first) as served:
        yield served


@pytest.fixture
def store(served: Served) -> JobStore:
    return store_of(served.settings)
