"""Fetching weights: mirror and network, checksum first, bounded, atomic, and a clear word where a package lacks."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models import weights
from models.cards import Card, card_of
from models.errors import MissingExtra, WeightsUnavailable
from models.weights import default_cache, fetch, fetch_source, weights_path
from tests.servers.keras_file import keras_arrays, write_keras_file

NAME = "published.h5"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_keras_file(tmp_path_factory.mktemp("mirror") / NAME, keras_arrays())


@pytest.fixture(autouse=True)
def _no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CITYZONES_WEIGHTS_MIRROR", raising=False)
    monkeypatch.setattr(weights.time, "sleep", lambda _: None)


def card_for(source: Path, *, url: str = "https://weights.invalid/x", sha256: str | None = None) -> Card:
    card = card_of("so2sat-resnet20")
    digest = sha256 or hashlib.sha256(source.read_bytes()).hexdigest()
    told = card.weights.model_copy(update={"source_file": NAME, "source_url": url, "source_sha256": digest})
    geometry = card.geometry.model_copy(update={"tile": 20})
    return card.model_copy(update={"weights": told, "geometry": geometry})


@contextmanager
def serving(answers: list[tuple[int, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """Answer one request after the other as told, the last for ever."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[min(len(asked), len(answers) - 1)]
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{NAME}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_a_mirror_gives_the_onnx_file_once(published: Path, tmp_path: Path) -> None:
    card = card_for(published)
    assert weights_path(card, cache=tmp_path) is None
    path = fetch(card, cache=tmp_path, mirror=published.parent)
    assert path == weights_path(card, cache=tmp_path) == tmp_path / card.weights.file
    stamp = path.stat().st_mtime_ns
    assert fetch(card, cache=tmp_path, mirror=Path("/nowhere")).stat().st_mtime_ns == stamp
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([NAME, card.weights.file])


def test_mirror_and_cache_come_from_the_environment(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYZONES_WEIGHTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CITYZONES_WEIGHTS_MIRROR", str(published.parent))
    assert fetch(card_for(published)).parent == default_cache() == tmp_path / "cache"


def test_a_wrong_checksum_is_refused_and_leaves_nothing(published: Path, tmp_path: Path) -> None:
    card = card_for(published, sha256="0" * 64)
    with pytest.raises(WeightsUnavailable, match="its card says 0000"):
        fetch(card, cache=tmp_path, mirror=published.parent)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_cached_file_is_fetched_again(published: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"half")
    assert fetch_source(card_for(published), cache=tmp_path, mirror=published.parent).stat().st_size > 1000


def test_a_mirror_without_the_file_says_so(published: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="put the published file there"):
        fetch_source(card_for(published), cache=tmp_path, mirror=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_falters_is_asked_again(published: Path, tmp_path: Path) -> None:
    with serving([(503, b""), (429, b""), (200, published.read_bytes())]) as (url, asked):
        path = fetch_source(card_for(published, url=url), cache=tmp_path)
    assert path.read_bytes() == published.read_bytes()
    assert len(asked) == 3


@pytest.mark.parametrize(("status", "requests"), [(500, 3), (404, 1)])
def test_a_network_that_fails_ends(published: Path, tmp_path: Path, status: int, requests: int) -> None:
    with (
        serving([(status, b"")]) as (url, asked),
        pytest.raises(WeightsUnavailable, match="CITYZONES_WEIGHTS_MIRROR"),
    ):
        fetch_source(card_for(published, url=url), cache=tmp_path)
    assert len(asked) == requests
    assert list(tmp_path.iterdir()) == []


def test_no_server_at_all_ends(published: Path, tmp_path: Path) -> None:
    with serving([(200, b"")]) as (url, _):
        pass
    with pytest.raises(WeightsUnavailable, match="after 3 attempts"):
        fetch_source(card_for(published, url=url), cache=tmp_path)


@pytest.mark.parametrize("over", ["network", "mirror"])
def test_too_many_bytes_are_refused(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: str
) -> None:
    monkeypatch.setattr(weights, "MAX_BYTES", 1000)
    with serving([(200, published.read_bytes())]) as (url, _), pytest.raises(WeightsUnavailable, match="larger than"):
        fetch_source(
            card_for(published, url=url), cache=tmp_path, mirror=published.parent if over == "mirror" else None
        )
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("models.networks.so2sat")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"needs torch; run: pip install 'cityzones\[train\]'"):
        fetch(card_for(published), cache=tmp_path, mirror=published.parent)


def test_a_source_name_cannot_leave_the_folder(published: Path, tmp_path: Path) -> None:
    card = card_for(published)
    told = card.weights.model_copy(update={"source_file": f"../{NAME}"})
    with pytest.raises(WeightsUnavailable, match="names no published file"):
        fetch_source(card.model_copy(update={"weights": told}), cache=tmp_path, mirror=published.parent)


@pytest.mark.real_data
def test_the_published_file_has_the_checksum_of_its_card(shared_data: Path, tmp_path: Path) -> None:
    path = fetch(card_of("so2sat-resnet20"), cache=tmp_path, mirror=shared_data / "weights_so2sat")
    assert path.stat().st_size > 2_000_000
