"""Files that clients PUT into the bucket themselves: announced, checked when they say so, and only then kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.api import Api, problem, settings_in, write_image
from tests.servers.swift import SwiftServer


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    with SwiftServer(tmp_path_factory.mktemp("swift")) as server:
        server.create_bucket("maps")
        yield server


@pytest.fixture
def api(s3: SwiftServer, tmp_path: Path) -> Api:
    told = {name.removeprefix("CITYZONES_").lower(): value for name, value in s3.settings.items()}
    return Api(settings_in(tmp_path, storage_url=f"s3://maps/{tmp_path.name}", max_upload_bytes=100_000, **told))


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    return write_image(tmp_path / "city.tif").read_bytes()


def _announce(api: Api, data: bytes, **told: Any) -> dict[str, Any]:
    answer = api.ask("POST", "/uploads", json={"filename": "city.tif", "size": len(data), **told})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    assert answer.headers["location"].endswith(body["upload"])
    assert (body["status"], body["send_to"]["method"]) == ("awaiting", "PUT")
    return body


def _put(announced: dict[str, Any], data: bytes) -> None:
    told = announced["send_to"]
    answer = httpx.request(told["method"], told["href"], headers=told["headers"], content=data, trust_env=False)
    assert answer.status_code == 200, answer.text


def _complete(api: Api, announced: dict[str, Any]) -> httpx.Response:
    return api.ask("POST", f"/uploads/{announced['upload']}/complete")


def _nothing_kept(api: Api, tmp_path: Path) -> None:
    assert api.store.storage.keys("uploads") + api.store.storage.keys("tenants") == []
    assert not list((tmp_path / "scratch").glob("*"))


def test_a_file_goes_into_the_bucket_and_is_complete_once_checked(api: Api, tmp_path: Path, image: bytes) -> None:
    announced = _announce(api, image, sha256=hashlib.sha256(image).hexdigest())
    problem(_complete(api, announced), 409, "upload-not-complete")
    assert api.get(f"/uploads/{announced['upload']}").json()["status"] == "awaiting"
    _put(announced, image)
    answer = _complete(api, announced)
    assert answer.status_code == 200, answer.text
    record = answer.json()
    assert (record["status"], record["kind"], record["filename"]) == ("complete", "image", "city.tif")
    assert record["sha256"] == hashlib.sha256(image).hexdigest()
    assert not list((tmp_path / "scratch").iterdir())
    _put(announced, b"put again through the link that still works")
    assert _complete(api, announced).json() == record
    assert api.store.storage.get(record["key"]) == image
    assert len(api.store.storage.keys(f"uploads/{announced['upload']}")) == 2


def test_another_size_than_announced_is_refused_before_it_is_fetched(api: Api, tmp_path: Path, image: bytes) -> None:
    announced = _announce(api, image)
    _put(announced, image + b"x" * 200_000)
    body = problem(_complete(api, announced), 422, "size-mismatch")
    assert f"{len(image) + 200_000} bytes came where {len(image)}" in body["detail"]
    _nothing_kept(api, tmp_path)
    problem(_complete(api, announced), 404, "unknown-upload")


def test_other_bytes_than_announced_are_refused(api: Api, tmp_path: Path, image: bytes) -> None:
    announced = _announce(api, image, sha256=hashlib.sha256(b"another").hexdigest())
    _put(announced, image)
    problem(_complete(api, announced), 422, "checksum-mismatch")
    _nothing_kept(api, tmp_path)


def test_a_file_that_cannot_be_used_is_refused(api: Api, tmp_path: Path) -> None:
    announced = _announce(api, b"<VRTDataset/>")
    _put(announced, b"<VRTDataset/>")
    problem(_complete(api, announced), 415, "unsupported-format")
    _nothing_kept(api, tmp_path)


def test_a_link_writes_its_own_object_only(api: Api, image: bytes) -> None:
    told = _announce(api, image)["send_to"]
    for href in (
        told["href"].replace("/arriving?", "/upload.json?"),
        told["href"].replace("Signature=", "Signature=0"),
    ):
        assert httpx.put(href, content=b"{}", trust_env=False).status_code == 403
    assert httpx.get(told["href"], trust_env=False).status_code == 403


def test_pieces_are_kept_in_the_bucket_too(api: Api, image: bytes) -> None:
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(image))}
    path = api.ask("POST", "/uploads/resumable", headers=tus).headers["location"].removeprefix("http://127.0.0.1")
    piece = tus | {"Content-Type": "application/offset+octet-stream"}
    for start in (0, 10_000, 20_000):
        sent = piece | {"Upload-Offset": str(start)}
        answer = api.ask("PATCH", path, headers=sent, content=image[start : start + 10_000])
        assert answer.status_code == 204, answer.text
    record = api.get(path.replace("/resumable", "")).json()
    assert (record["status"], record["sha256"]) == ("complete", hashlib.sha256(image).hexdigest())
    direct = _announce(api, image)
    told = piece | {"Upload-Offset": "0"}
    problem(api.ask("PATCH", f"/uploads/resumable/{direct['upload']}", headers=told), 404, "unknown-upload")


def test_the_area_of_a_file_in_the_bucket_leaves_nothing_behind(api: Api, tmp_path: Path) -> None:
    (tmp_path / "city.geojson").write_text('{"type": "Polygon", "coordinates": [[[13,52],[14,52],[14,53],[13,52]]]}')
    upload = api.upload(tmp_path / "city.geojson").json()["upload"]
    found = api.get(f"/uploads/{upload}/area").json()
    assert (found["polygons"], found["vertices"]) == (1, 4)
    assert not list((tmp_path / "scratch").iterdir())
