"""The model repository on its way through object storage: a folder, and a real S3 server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.published import DamagedRepository, Manifest, NoRepository, fetch, publish, published
from jobs.settings import Settings
from jobs.storage import Storage
from models.errors import WeightsUnavailable
from models.serving import build_repository
from service.cli import app
from tests.servers.swift import SwiftServer
from tests.servers.tiny_model import tiny_card, write_tiny_model


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    cards = [tiny_card("tiny"), tiny_card("other", morphology=True)]
    write_tiny_model(folder / "cache" / "tiny.onnx")
    write_tiny_model(folder / "cache" / "other.onnx", morphology=True)
    assert build_repository(folder / "models", cards, cache=folder / "cache") == ["tiny", "other"]
    return folder / "models"


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    with SwiftServer(tmp_path_factory.mktemp("swift")) as server:
        server.create_bucket("maps")
        yield server


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return Storage(Settings(storage_url=f"file://{tmp_path}/store"))
    server: SwiftServer = request.getfixturevalue("swift")
    told = server.settings | {"CITYZONES_STORAGE_URL": f"s3://maps/{tmp_path.name}"}
    return Storage(Settings.of_environment(told))


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def spoiled(storage: Storage, name: str) -> str:
    (sha256,) = {file.sha256 for file in published(storage).manifest.files if file.path == name}
    return f"models/files/{sha256}"


def test_what_is_fetched_is_what_was_published(storage: Storage, repository: Path, tmp_path: Path) -> None:
    done = publish(storage, repository)
    assert (done.number, done.manifest.models) == (1, ("other", "tiny"))
    assert fetch(storage, tmp_path / "models").fresh == len(done.manifest.files) == 10
    assert content(tmp_path / "models") == content(repository)


def test_publishing_the_same_again_writes_nothing(storage: Storage, repository: Path) -> None:
    publish(storage, repository)
    before = storage.keys("models")
    again = publish(storage, repository)
    assert (again.number, again.fresh, storage.keys("models")) == (1, 0, before)


def test_a_changed_model_is_a_new_version_and_the_one_before_stays(
    storage: Storage, repository: Path, tmp_path: Path
) -> None:
    publish(storage, repository)
    changed = tmp_path / "changed"
    (changed / "tiny" / "1").mkdir(parents=True)
    (changed / "tiny" / "config.pbtxt").write_bytes(b"new")
    (changed / "tiny" / "1" / "model.onnx").write_bytes((repository / "tiny/1/model.onnx").read_bytes())
    assert publish(storage, changed).number == 2
    place = tmp_path / "models"
    assert fetch(storage, place).number == 2
    assert content(place) == content(changed)
    assert fetch(storage, place, number=1).fresh == 10
    assert content(place) == content(repository)


def test_a_folder_that_differs_is_mended(storage: Storage, repository: Path, tmp_path: Path) -> None:
    publish(storage, repository)
    place = tmp_path / "models"
    fetch(storage, place)
    (place / "tiny" / "1" / "model.onnx").write_bytes(b"bitten")
    (place / "other" / "stray").write_bytes(b"")
    (place / "gone").mkdir()
    (place / "gone" / "config.pbtxt").write_bytes(b"of a model no longer published")
    (place / ".incoming-dead").mkdir()
    (place / "lost+found").mkdir()
    assert fetch(storage, place).fresh == 10
    assert content(place) == content(repository)
    assert sorted(path.name for path in place.iterdir()) == ["lost+found", "other", "tiny"]
    assert fetch(storage, place).fresh == 0


@pytest.mark.parametrize("fault", ["bytes", "absence"])
def test_what_is_damaged_never_reaches_the_folder(
    storage: Storage, repository: Path, tmp_path: Path, fault: str
) -> None:
    publish(storage, repository)
    place = tmp_path / "models"
    fetch(storage, place)
    (place / "tiny" / "config.pbtxt").write_bytes(b"older")
    before = content(place)
    key = spoiled(storage, "tiny/config.pbtxt")
    if fault == "bytes":
        storage.put(key, b"x" * (storage.size(key) or 0))
    else:
        storage.delete([key])
    with pytest.raises(DamagedRepository, match=key):
        fetch(storage, place)
    assert content(place) == before
    storage.delete([key])
    publish(storage, repository)
    fetch(storage, place)
    assert content(place) == content(repository)


def test_publishers_at_the_same_time_do_not_overwrite_each_other(
    storage: Storage, repository: Path, tmp_path: Path
) -> None:
    numbers: list[int] = []
    folders = []
    for which in range(4):
        folder = tmp_path / str(which) / "tiny"
        folder.mkdir(parents=True)
        (folder / "config.pbtxt").write_text(str(which))
        folders.append(folder.parent)
    threads = [threading.Thread(target=lambda f=f: numbers.append(publish(storage, f).number)) for f in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = {published(storage, number).manifest.files[0].sha256 for number in numbers}
    assert published(storage).number == max(numbers)
    if storage.folder:  # Swift's own create-only put lets two writers win; there the last one stays
        assert sorted(numbers) == [1, 2, 3, 4]
        assert len(kept) == 4


def test_nothing_published_and_nothing_to_publish(storage: Storage, repository: Path, tmp_path: Path) -> None:
    with pytest.raises(NoRepository, match="publish-repository"):
        fetch(storage, tmp_path / "models")
    assert not (tmp_path / "models").exists()
    with pytest.raises(WeightsUnavailable, match="no model"):
        publish(storage, tmp_path / "nothing")
    publish(storage, repository)
    with pytest.raises(NoRepository, match="newest is 1"):
        fetch(storage, tmp_path / "models", number=7)


@pytest.mark.parametrize(
    "path", ["../tiny/config.pbtxt", "/tiny/config.pbtxt", "tiny//config.pbtxt", "config.pbtxt", "tiny/../../x", ".x/y"]
)
def test_a_manifest_that_leads_out_of_the_folder_is_refused(tmp_path: Path, repository: Path, path: str) -> None:
    storage = Storage(Settings(storage_url=f"file://{tmp_path}/store"))
    told = json.loads(publish(storage, repository).manifest.bytes())
    assert Manifest.model_validate(told)
    told["files"][0]["path"] = path
    storage.put("models/manifests/000002.json", json.dumps(told).encode())
    with pytest.raises(DamagedRepository, match="manifest 2"):
        fetch(storage, tmp_path / "models")
    assert fetch(storage, tmp_path / "models", number=1).number == 1


def test_the_commands_carry_the_bundled_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYZONES_STORAGE_URL", f"file://{tmp_path}/store")
    monkeypatch.setenv("CITYZONES_WEIGHTS_CACHE", str(tmp_path / "empty"))
    place = tmp_path / "models"
    failed = CliRunner().invoke(app, ["models", "fetch-repository", str(place)])
    assert failed.exit_code == 1
    assert "publish-repository" in failed.output
    for accelerator, kind in (("cpu", b"KIND_CPU"), ("gpu", b"KIND_GPU")):
        done = CliRunner().invoke(app, ["models", "publish-repository", "--accelerator", accelerator])
        told = json.loads(done.stdout.splitlines()[-1])
        assert {"magnet", "land-cover"} <= set(told["models"])
        got = CliRunner().invoke(app, ["models", "fetch-repository", str(place)])
        assert json.loads(got.stdout.splitlines()[-1])["version"] == told["version"]
        assert kind in (place / "magnet" / "config.pbtxt").read_bytes()
        assert b"KIND_CPU" in (place / "magnet" / "configs" / "cpu.pbtxt").read_bytes()
