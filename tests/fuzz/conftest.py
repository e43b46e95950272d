"""An interface of the tests' own, with bait beside it and every folder that a library might write to in sight."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

from service.stack.valkey import EmbeddedValkey
from tests.fuzz.bait import Bait
from tests.fuzz.judge import Judge
from tests.fuzz.tiff_seeds import seed
from tests.fuzz.vector_files import good
from tests.servers.api import Api, settings_in

# The tests judge every file and tell all faults at the end, so nothing is shrunk; the same files come every time.
STEADY: dict[str, Any] = {
    "derandomize": True, "database": None, "deadline": None, "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}  # fmt: skip


def each(strategy: st.SearchStrategy, number: int, use: Callable[[Any], None]) -> None:
    """Give so many values of a strategy to a function, the same ones every time."""
    hypothesis.settings(max_examples=number, **STEADY)(hypothesis.given(strategy)(use))()


@pytest.fixture(scope="session")
def bait(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bait]:
    folder = tmp_path_factory.mktemp("bait")
    for name in ("image.tif", "image.tif.ovr", "image.tif.msk"):
        (folder / name).write_bytes(seed("strips"))
    (folder / "image.gpkg").write_bytes(good(".gpkg"))
    (folder / "image.tif.aux.xml").write_text("<PAMDataset/>")
    bait = Bait(folder)
    bait.watch()
    yield bait
    bait.close()


@pytest.fixture(scope="package")
def valkey() -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey() as valkey:
        yield valkey


@pytest.fixture
def judge(
    valkey: EmbeddedValkey,
    bait: Bait,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Iterator[Judge]:
    for name in ("cwd", "home", "tmp", "faults"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "scratch").mkdir()
    api = Api(settings_in(tmp_path, broker_url=valkey.broker_url(0), live_url=valkey.url(1), max_vertices=1000))
    judge = Judge(api, bait, tmp_path / "faults")
    yield judge
    if request.node.get_closest_marker("scale"):
        with capsys.disabled():
            sys.stdout.write(judge.table + "\n")
