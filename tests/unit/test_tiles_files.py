"""Copies of maps from S3: fetched once by several threads, checked, bounded, and never half written."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.errors import MapUnreadable
from jobs.public.problems import RequestError
from jobs.record import OutputFile
from jobs.storage import Storage
from service.tiles.files import MapFiles
from tests.servers.api import settings_in


class Remote(Storage):
    """A store without a folder of its own, as S3 is, that counts what is fetched."""

    fetched = 0
    folder = None  # type: ignore[assignment]

    def stream(self, key: str, *, chunk: int = 4 * 1024**2) -> Iterator[bytes]:
        self.fetched += 1
        time.sleep(0.05)
        return super().stream(key, chunk=chunk)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(settings_in(tmp_path))


def stored(storage: Storage, data: bytes, key: str = "jobs/a/outputs/map.tif") -> OutputFile:
    storage.put(key, data)
    digest = hashlib.sha256(data).hexdigest()
    return OutputFile(key=key, media_type="image/tiff", title="map", size=len(data), sha256=digest, filename="map.tif")


def test_many_threads_fetch_a_map_once(remote: Remote, tmp_path: Path) -> None:
    files = MapFiles(remote, tmp_path / "maps", 1000)
    output = stored(remote, b"a map")
    start = threading.Barrier(8)

    def ask(_: int) -> bytes:
        start.wait()
        return files.path(output).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {b"a map"}
    assert remote.fetched == 1
    assert [path.name for path in (tmp_path / "maps").iterdir()] == [f"{output.sha256}.tif"]
    assert (tmp_path / "maps").stat().st_mode & 0o077 == 0


def test_a_copy_has_the_suffix_of_what_it_is_and_makes_room_like_a_map(remote: Remote, tmp_path: Path) -> None:
    files = MapFiles(remote, tmp_path / "maps", 5)
    table = stored(remote, b"parcels", "jobs/a/outputs/parcels.gpkg").model_copy(update={"filename": "parcels.gpkg"})
    assert files.path(table).name == f"{table.sha256}.gpkg"
    kept = files.path(stored(remote, b"a map"))
    assert list((tmp_path / "maps").iterdir()) == [kept]


def test_the_copies_unused_for_longest_make_room(remote: Remote, tmp_path: Path) -> None:
    files = MapFiles(remote, tmp_path / "maps", 250)
    outputs = [stored(remote, bytes([n]) * 100, f"jobs/{n}/outputs/map.tif") for n in range(4)]
    for age, output in enumerate(outputs[:2]):
        path = files.path(output)
        os.utime(path, (time.time() - 100 + age,) * 2)
    files.path(outputs[0])  # used again, so the other one goes
    files.path(outputs[2])
    assert {p.name for p in (tmp_path / "maps").iterdir()} == {f"{outputs[n].sha256}.tif" for n in (0, 2)}
    large = stored(remote, bytes(1000), "jobs/l/outputs/map.tif")
    assert files.path(large).stat().st_size == 1000
    assert len(list((tmp_path / "maps").iterdir())) == 1


def test_what_a_dead_process_left_is_tidied_up(remote: Remote, tmp_path: Path) -> None:
    files = MapFiles(remote, tmp_path / "maps", 1000)
    files.path(stored(remote, b"1"))
    left, busy = tmp_path / "maps" / ".left", tmp_path / "maps" / ".busy"
    for path in (left, busy):
        path.write_bytes(b"half")
    os.utime(left, (0, 0))
    files.path(stored(remote, b"2", "jobs/b/outputs/map.tif"))
    assert not left.exists()
    assert busy.exists()


def test_a_map_that_is_gone_or_another_is_refused(remote: Remote, tmp_path: Path) -> None:
    files = MapFiles(remote, tmp_path / "maps", 1000)
    output = stored(remote, b"a map")
    remote.put(output.key, b"another")
    with pytest.raises(MapUnreadable, match="not the file"):
        files.path(output)
    remote.delete([output.key])
    with pytest.raises(RequestError, match="gone"):
        files.path(output)
    assert not list((tmp_path / "maps").iterdir())


def test_a_folder_of_somebody_elses_is_not_used(remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "maps").symlink_to(tmp_path / "theirs")
    with pytest.raises(MapUnreadable, match="SCRATCH"):
        MapFiles(remote, tmp_path / "maps", 1000).path(stored(remote, b"a map"))
