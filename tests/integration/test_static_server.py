"""The static file server that catalogues of the tests stand on: ranges, failures, and GDAL as its reader."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio

from tests.servers.stac import StaticServer, parse_range

DATA = bytes(range(256)) * 40


def get(link: str, **headers: str) -> httpx.Response:
    return httpx.get(link, headers=headers, trust_env=False, timeout=20.0)


def test_static_files_come_with_ranges(tmp_path: Path) -> None:
    (tmp_path / "catalog.json").write_text("{}")
    (tmp_path / "scene.bin").write_bytes(DATA)
    with StaticServer(tmp_path) as server:
        answer = get(f"{server.url}/catalog.json")
        assert (answer.json(), answer.headers["content-type"]) == ({}, "application/json")
        part = get(f"{server.url}/scene.bin", Range="bytes=-10")
        assert (part.status_code, part.content) == (206, DATA[-10:])
        assert get(f"{server.url}/scene.bin", Range="bytes=99999-").status_code == 416
        head = httpx.head(f"{server.url}/scene.bin", trust_env=False)
        assert (head.headers["content-length"], head.content) == (str(len(DATA)), b"")
        assert get(f"{server.url}/../../etc/passwd").status_code == 404
        assert get(f"{server.url}/%2e%2e/%2e%2e/etc/passwd").status_code == 404
        server.failing.add("/catalog.json")
        assert get(f"{server.url}/catalog.json").status_code == 503
        assert server.asked[0] == "/catalog.json"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_gdal_reads_a_window_from_the_static_server(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 9000, (1, 512, 512), np.uint16)
    profile = {"driver": "GTiff", "width": 512, "height": 512, "count": 1, "dtype": "uint16", "tiled": True}
    with rasterio.open(tmp_path / "b04.tif", "w", blockxsize=128, blockysize=128, **profile) as file:
        file.write(image)
    with StaticServer(tmp_path) as server, rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        with rasterio.open(f"{server.url}/b04.tif") as file:
            read = file.read(window=((200, 300), (40, 90)))
        assert np.array_equal(read, image[:, 200:300, 40:90])
        assert server.asked


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=5-", range(5, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-30", range(10)),
        ("bytes=4-99", range(4, 10)),
        ("bytes=7-6", None),
        ("bytes=-", None),
        ("bytes=1-2,4-5", None),
        ("items=1-2", None),
    ],
)
def test_range_headers(header: str, expected: range | None) -> None:
    assert parse_range(header, 10) == expected
