"""The servers that tests stand on: real S3 (Swift) through obstore, signed links and their limits, and static files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import numpy as np
import obstore
import pytest
import rasterio
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from tests.servers.stac import StaticServer, parse_range
from tests.servers.swift import SwiftServer

MINUTE = timedelta(minutes=1)
DATA = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    with SwiftServer(tmp_path_factory.mktemp("swift")) as server:
        server.create_bucket("maps")
        server.create_bucket("maps")
        yield server


@pytest.fixture
def store(s3: SwiftServer) -> S3Store:
    return s3.store("maps", prefix="jobs")


def get(link: str, **headers: str) -> httpx.Response:
    return httpx.get(link, headers=headers, trust_env=False, timeout=20.0)


def test_put_get_list_and_delete(store: S3Store) -> None:
    store.put("a/outputs/lcz.tif", DATA)
    assert bytes(store.get("a/outputs/lcz.tif").bytes()) == DATA
    assert [entry["path"] for entry in store.list("a").collect()] == ["a/outputs/lcz.tif"]
    store.delete("a/outputs/lcz.tif")
    with pytest.raises(FileNotFoundError):
        store.head("a/outputs/lcz.tif")


def test_create_only_puts_refuse_the_second(store: S3Store) -> None:
    store.put("b/result.json", b"first", mode="create", use_multipart=False)
    with pytest.raises(AlreadyExistsError):
        store.put("b/result.json", b"second", mode="create", use_multipart=False)
    assert bytes(store.get("b/result.json").bytes()) == b"first"


def test_a_multipart_upload_arrives_whole(store: S3Store) -> None:
    data = np.random.default_rng(0).bytes(11 * 1024**2)
    store.put("big.bin", data, use_multipart=True, chunk_size=5 * 1024**2)
    assert bytes(store.get("big.bin").bytes()) == data
    assert bytes(store.get_range("big.bin", start=5 * 1024**2 - 3, length=6)) == data[5 * 1024**2 - 3 :][:6]


def test_a_signed_link_gives_the_file_its_ranges_and_its_name(store: S3Store) -> None:
    told = {"Content-Disposition": 'attachment; filename="map.tif"', "Content-Type": "image/tiff"}
    store.put("c.tif", DATA, attributes=told, use_multipart=False)
    link = obstore.sign(store, "GET", "c.tif", MINUTE)
    whole = get(link)
    assert (whole.status_code, whole.content) == (200, DATA)
    assert whole.headers["content-disposition"] == told["Content-Disposition"]
    part = get(link, Range="bytes=100-199")
    assert (part.status_code, part.content) == (206, DATA[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(DATA)}"
    assert httpx.head(link, trust_env=False).status_code == 403


def test_tampered_and_expired_links_are_refused(store: S3Store) -> None:
    store.put("d.tif", DATA)
    store.put("secret.tif", b"another's")
    link = obstore.sign(store, "GET", "d.tif", MINUTE)
    assert get(link.replace("d.tif", "secret.tif")).status_code == 403
    assert get(link.replace("X-Amz-Expires=60", "X-Amz-Expires=600")).status_code == 403
    assert get(link[:-4] + "0000").status_code == 403
    short = obstore.sign(store, "GET", "d.tif", timedelta(seconds=3))
    assert get(short).status_code == 200
    time.sleep(4.1)
    assert get(short).status_code == 403
    assert get(short.partition("?")[0]).status_code == 400  # no signature at all; AWS says 403


def test_a_wrong_key_is_refused(s3: SwiftServer) -> None:
    other = S3Store(
        "maps",
        endpoint=s3.endpoint,
        region=s3.region,
        access_key_id=s3.access_key,
        secret_access_key="wrong",
        client_options={"allow_http": True},
    )
    with pytest.raises((PermissionDeniedError, UnauthenticatedError)):
        other.put("x", b"")


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
