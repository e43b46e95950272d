"""`bentoml serve` with a queue and a real model server: the default network, and the tests' own tiny one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.store import JobStore
from models.cards import CARDS_DIR, Card, cards
from models.serving import build_repository
from service.stack.triton import EmbeddedTriton
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import Served, store_of
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
    """Give the server the tests' own network beside the real ones: Python imports sitecustomize before all else."""
    told = folder / "cards"
    told.mkdir()
    for path in CARDS_DIR.glob("*.toml"):
        (told / path.name).write_bytes(path.read_bytes())
    (told / "tiny.toml").write_text(_toml(tiny_card()))
    (folder / "first").mkdir()
    patch = f"import pathlib, models.cards\nmodels.cards.CARDS_DIR = pathlib.Path({str(told)!r})\n"
    (folder / "first" / "sitecustomize.py").write_text(patch)
    return folder / "first"


@pytest.fixture(scope="package")
def served(folder: Path, environment: dict[str, str], tiny_first: Path) -> Iterator[Served]:
    with Served(folder, environment, path=tiny_first) as served:
        yield served


@pytest.fixture
def store(served: Served) -> JobStore:
    return store_of(served.settings)


def _toml(card: Card) -> str:
    values = card.model_dump(mode="json", exclude_none=True)
    plain = [f"{name} = {json.dumps(v)}" for name, v in values.items() if not isinstance(v, dict)]
    for name, section in values.items():
        if isinstance(section, dict):
            plain += [f"[{name}]", *(f"{key} = {json.dumps(v)}" for key, v in section.items())]
    return "\n".join(plain)
