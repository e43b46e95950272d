"""Fixtures every tier shares: where the real data lie, and folders of a test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from models.cards import card_of
from models.weights import fetch as fetch_weights
from service.client import Client
from service.stack.embedded import EmbeddedStack
from service.stack.files import FileServer
from service.stack.sample import make_sample
from tests.journeys import everything, fetch, finish
from tests.missing import without
from tests.servers.cards import reading_cards, write_cards
from tests.servers.pictures import picture_card, write_picture_model
from tests.servers.stac import StaticServer
from tests.together import TogetherScheduling

ROOT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TogetherScheduling:
    """Deal tests out to processes so that what shares servers runs in one, whatever `--dist` says."""
    return TogetherScheduling(config, log)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data beside the checkout; absent is a skip, and a failure where CI=true."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        without(f"real data are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a small procedural city, 3.4 x 2.9 km: imagery, catalogue, buildings, parcels, truth."""
    return make_sample(tmp_path_factory.mktemp("sample"), width=3400, height=2900)


@pytest.fixture(scope="session")
def catalogue(sample: Path) -> Iterator[str]:
    """The sample's static STAC catalogue, served on loopback."""
    with FileServer(sample) as server:
        yield f"{server.url}/catalog.json"


@pytest.fixture(scope="session")
def archive(sample: Path) -> Iterator[StaticServer]:
    """The same catalogue where a test may make images slow."""
    with StaticServer(sample) as server:
        yield server


@pytest.fixture(scope="session")
def weights_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of fetched weights: with the published So2Sat network where the data folder is at hand, else empty."""
    cache = tmp_path_factory.mktemp("weights")
    mirror = ROOT.parent / "shared" / "data" / "weights_so2sat"
    if mirror.is_dir():
        fetch_weights(card_of("so2sat-resnet20"), cache=cache, mirror=mirror)
    return cache


@pytest.fixture(scope="session")
def stack(
    tmp_path_factory: pytest.TempPathFactory, catalogue: str, archive: StaticServer, weights_cache: Path
) -> Iterator[EmbeddedStack]:
    """Valkey, Triton, worker and service for real; blocks are small, so that jobs fan out.

    It serves a network for pictures beside the project's own; for the tests' process, the latter are all there are.
    """
    told, pictures = tmp_path_factory.mktemp("cards"), picture_card()
    first = write_cards(told, pictures)
    write_picture_model(weights_cache / pictures.weights.file)
    overrides = {
        "PYTHONPATH": os.pathsep.join([str(first), str(ROOT)]),
        "CITYZONES_STAC_URL": catalogue,
        "CITYZONES_STAC_ALLOWED": f"{archive.url}/catalog.json",
        "CITYZONES_BLOCK_PIXELS": "240",
        "CITYZONES_WEIGHTS_CACHE": str(weights_cache),
        # Receivers of callbacks are on loopback here.
        "CITYZONES_CALLBACK_ALLOW_HTTP": "true",
        "CITYZONES_CALLBACK_HOSTS": "127.0.0.1/32",
    }
    with ExitStack() as stack:
        with reading_cards(told):
            running = stack.enter_context(EmbeddedStack(tmp_path_factory.mktemp("stack"), overrides=overrides))
        yield running


@pytest.fixture(scope="session")
def client(stack: EmbeddedStack) -> Iterator[Client]:
    """A client of the running stack."""
    with Client(stack.url) as client:
        yield client


@pytest.fixture(scope="session")
def finished(
    client: Client, sample: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Path]]:
    """One finished job with everything, and its outputs: STAC imagery, buildings, parcels, more than one block."""
    status = finish(client, everything(client, sample))
    assert status["status"] == "successful", status
    return status, fetch(client, status["jobID"], tmp_path_factory.mktemp("outputs"))
