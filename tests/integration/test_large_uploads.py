"""Two gibibytes into the service as it is served, by every way there is, within 300 MiB of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import rasterio
from rasterio.transform import from_origin
from tusclient.client import TusClient

from tests.servers.api import Served
from tests.servers.swift import SwiftServer

pytestmark = pytest.mark.scale
MOST_MIB = 300
# 10 bands of 16 bits: 2.05 GiB, which take hardly any disk as long as nobody reads them.
SHAPE = {"count": 10, "height": 10_752, "width": 10_240, "dtype": "uint16"}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("large") / "large.tif"
    told = {"tiled": True, "interleave": "pixel", "crs": "EPSG:32633", "transform": from_origin(3.9e5, 5.82e6, 10, 10)}
    with rasterio.open(path, "w", driver="GTiff", blockxsize=512, blockysize=512, **SHAPE, **told):
        pass
    assert path.stat().st_size > 2 * 1024**3
    yield path
    path.unlink()


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    told = {"CITYZONES_MAX_UPLOAD_BYTES": str(3 * 1024**3)}
    with ExitStack() as stack:
        if request.param == "s3":
            s3 = stack.enter_context(SwiftServer(tmp_path / "swift"))
            s3.create_bucket("maps")
            told |= s3.settings | {"CITYZONES_STORAGE_URL": "s3://maps/large"}
        yield stack.enter_context(Served(tmp_path, told))


def _peaks(served: Served) -> list[int]:
    """Return the most memory each process of the server ever held, in MiB: its supervisor, and the one that serves."""
    assert served.process
    processes = psutil.Process(served.process.guard_pid).children(recursive=True)
    lines = [line for p in processes for line in Path(f"/proc/{p.pid}/status").read_text().splitlines()]
    return [int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")]


def _whole(served: Served, image: Path) -> dict[str, Any]:
    with image.open("rb") as file:
        return httpx.post(f"{served.url}/uploads", files={"file": (image.name, file)}, timeout=600).json()


def _announced(served: Served, image: Path) -> dict[str, Any]:
    told = {"filename": image.name, "size": image.stat().st_size}
    announced = httpx.post(f"{served.url}/uploads", json=told, timeout=60).json()
    send = announced["send_to"]
    with image.open("rb") as file:
        sent = {**send["headers"], "Content-Length": str(told["size"])}
        assert httpx.request(send["method"], send["href"], headers=sent, content=file, timeout=600).is_success
    return httpx.post(f"{served.url}/uploads/{announced['upload']}/complete", timeout=600).json()


def _pieces(served: Served, image: Path) -> dict[str, Any]:
    uploader = TusClient(f"{served.url}/uploads/resumable").uploader(str(image), chunk_size=256 * 1024**2)
    uploader.upload()
    return httpx.get(uploader.url.replace("/resumable", ""), timeout=60).json()


@pytest.mark.parametrize(
    ("served", "send"),
    [("local", _whole), ("local", _pieces), ("s3", _whole), ("s3", _announced)],
    indirect=["served"],
)
def test_two_gibibytes_need_little_memory(served: Served, image: Path, send: Any) -> None:
    record = send(served, image)
    peaks = _peaks(served)
    assert (record.get("status"), record.get("size")) == ("complete", image.stat().st_size), record
    assert httpx.delete(f"{served.url}/uploads/{record['upload']}", timeout=60).status_code == 204
    assert max(peaks) <= MOST_MIB, peaks
