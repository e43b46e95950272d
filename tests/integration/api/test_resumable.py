"""Uploads in pieces: a tus client as it is, lost connections, races, crashes, and pieces that do not fit."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import socket
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from starlette.requests import ClientDisconnect
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from jobs.errors import OffsetConflict
from jobs.record import now
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.uploads import Parts, UploadStore
from jobs.uploads.parts import PART_BYTES
from service.app import create_app
from service.pieces import receive_piece
from tests.servers.api import Api, problem, write_image
from tests.servers.threaded import Threaded

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    return write_image(tmp_path / "city.tif", bands=3, side=(400, 300)).read_bytes()


@pytest.fixture
def server(settings: Settings) -> Iterator[Threaded]:
    with Threaded() as server:
        yield server.serve(create_app(settings.model_copy(update={"public_url": server.url})))


def _create(api: Api, size: int, **told: str) -> str:
    answer = api.ask("POST", "/uploads/resumable", headers={**TUS, "Upload-Length": str(size), **told})
    assert answer.status_code == 201, answer.text
    return answer.headers["location"].removeprefix("http://127.0.0.1")


def _send(api: Api, path: str, offset: int, data: bytes, **told: str) -> httpx.Response:
    return api.ask("PATCH", path, headers={**PIECE, "Upload-Offset": str(offset), **told}, content=data)


def _offset(api: Api, path: str) -> int:
    answer = api.ask("HEAD", path, headers=TUS)
    assert answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


@pytest.mark.parametrize("checksum", [False, True])
def test_a_tus_client_sends_a_file_and_resumes_it(
    server: Threaded, settings: Settings, image: bytes, *, checksum: bool
) -> None:
    client = TusClient(f"{server.url}/uploads/resumable")
    told = {"chunk_size": 100_000, "upload_checksum": checksum, "metadata": {"filename": "Städtchen.tif"}}
    first = client.uploader(file_stream=io.BytesIO(image), **told)
    first.upload(stop_at=200_000)
    with Threaded() as other:  # another replica of the service goes on, at the same address as far as clients know
        other.serve(create_app(settings.model_copy(update={"public_url": server.url})))
        again = client.uploader(file_stream=io.BytesIO(image), url=first.url.replace(server.url, other.url), **told)
        assert again.offset == 200_000
        again.upload()
    record = httpx.get(first.url.replace("/resumable", "")).json()
    assert (record["status"], record["filename"], record["size"]) == ("complete", "Städtchen.tif", len(image))
    assert record["sha256"] == hashlib.sha256(image).hexdigest()
    storage = Storage(settings)
    assert storage.get(record["key"]) == image
    assert sorted(k.rpartition("/")[2] for k in storage.keys("uploads")) == sorted(
        ["upload.json", record["key"].rpartition("/")[2]]
    )


def test_what_the_server_knows_of_tus(api: Api) -> None:
    answer = api.ask("OPTIONS", "/uploads/resumable")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["tus-max-size"] == str(2 * 1024**3)
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation", "creation-with-upload", "expiration", "checksum", "termination",
    }  # fmt: skip
    other = api.ask("POST", "/uploads/resumable", headers={"Tus-Resumable": "0.2.2", "Upload-Length": "5"})
    problem(other, 412, "tus-version")
    assert other.headers["tus-version"] == "1.0.0"


def test_the_first_piece_may_come_with_the_announcement(api: Api, image: bytes) -> None:
    told = {**PIECE, "Upload-Length": str(len(image)), "Upload-Metadata": "filename Y2l0eS50aWY="}
    answer = api.ask("POST", "/uploads/resumable", headers=told, content=image[:1000])
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "1000")
    assert answer.headers["upload-expires"].endswith("GMT")
    path = answer.headers["location"].removeprefix("http://127.0.0.1")
    assert api.ask("HEAD", path, headers=TUS).headers["upload-metadata"] == "filename Y2l0eS50aWY="
    assert api.get(path.replace("/resumable", "")).json()["received"] == 1000
    assert _send(api, path, 1000, image[1000:]).headers["upload-offset"] == str(len(image))
    assert _send(api, path, len(image), b"").status_code == 204
    assert api.get(path.replace("/resumable", "")).json()["filename"] == "city.tif"


def test_pieces_that_do_not_fit_are_refused(api: Api, image: bytes) -> None:
    path = _create(api, len(image))
    assert _send(api, path, 0, image[:500]).status_code == 204
    problem(_send(api, path, 400, image[400:]), 409, "offset-conflict")
    problem(_send(api, path, 500, image), 413, "upload-too-large")
    problem(_send(api, path, 500, b"x", **{"Content-Type": "image/tiff"}), 415, "unsupported-media-type")
    problem(_send(api, path, 500, b"x", **{"Upload-Offset": "-1"}), 400, "invalid-parameter")
    problem(_send(api, path, 500, b"x", **{"Upload-Checksum": "crc32 AAAA"}), 400, "malformed-request")
    wrong = "sha256 " + base64.b64encode(hashlib.sha256(b"y").digest()).decode()
    problem(_send(api, path, 500, b"x", **{"Upload-Checksum": wrong}), 460, "piece-mismatch")
    assert _offset(api, path) == 500
    for told in ({"Upload-Length": "0"}, {"Upload-Length": "x"}, {"Upload-Length": "5", "Upload-Metadata": "a ?"}):
        assert api.ask("POST", "/uploads/resumable", headers={**TUS, **told}).status_code == 400
    big = api.ask("POST", "/uploads/resumable", headers={**TUS, "Upload-Length": str(2**40)})
    problem(big, 413, "upload-too-large")


def test_giving_up_deletes_what_came(api: Api) -> None:
    path = _create(api, 100)
    _send(api, path, 0, b"x" * 50)
    answer = api.ask("POST", path, headers={**TUS, "X-HTTP-Method-Override": "DELETE"})
    assert answer.status_code == 204
    problem(_send(api, path, 50, b"x"), 404, "unknown-upload")
    assert api.store.storage.keys("uploads") + api.store.storage.keys("tenants") == []


def test_a_file_that_is_none_is_refused_with_its_last_piece(api: Api) -> None:
    path = _create(api, 60)
    _send(api, path, 0, b"MZ\x90" + b"x" * 27)
    problem(_send(api, path, 30, b"x" * 30), 415, "unsupported-format")
    problem(api.get(path.replace("/resumable", "")), 404, "unknown-upload")
    assert api.store.storage.keys("uploads") + api.store.storage.keys("tenants") == []


def test_a_file_that_is_not_the_announced_one_is_refused(api: Api, image: bytes) -> None:
    digest = base64.b64encode(hashlib.sha256(b"another").hexdigest().encode()).decode()
    path = _create(api, len(image), **{"Upload-Metadata": f"sha256 {digest}"})
    problem(_send(api, path, 0, image), 422, "checksum-mismatch")
    assert api.store.storage.keys("uploads") == []


def test_an_upload_whose_process_died_before_the_end_is_completed_when_asked_for(api: Api, image: bytes) -> None:
    path = _create(api, len(image))
    upload = path.rpartition("/")[2]
    parts = Parts(api.store.storage, upload)
    parts.add(parts.add(0, image[:70_000]), image[70_000:])
    assert _offset(api, path) == len(image)
    assert api.get(f"/uploads/{upload}").json()["status"] == "complete"
    api.store.storage.put(f"uploads/{upload}/parts/{0:020d}", b"left by a crash")
    assert api.ask("POST", f"/uploads/{upload}/complete").status_code == 200
    assert len(api.store.storage.keys(f"uploads/{upload}")) == 2


def test_of_two_that_complete_at_once_both_get_the_record(api: Api, image: bytes) -> None:
    path = _create(api, len(image))
    upload = path.rpartition("/")[2]
    Parts(api.store.storage, upload).add(0, image)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.ask("POST", f"/uploads/{upload}/complete"), range(4)))
    assert {a.status_code for a in answers} == {200}, [a.text for a in answers]
    assert len({a.json()["sha256"] for a in answers}) == 1
    assert len(api.store.storage.keys(f"uploads/{upload}")) == 2


def test_of_two_pieces_at_one_place_one_wins(api: Api) -> None:
    path = _create(api, 40_000)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda k: _send(api, path, 0, bytes([k]) * 5000), range(8)))
    assert sorted(a.status_code for a in answers) == [204] + [409] * 7
    assert _offset(api, path) == 5000


def test_a_wait_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _create(api, 100)
    late = now().replace(year=now().year + 1)
    monkeypatch.setattr("jobs.uploads.store.now", lambda: late)
    problem(_send(api, path, 0, b"x"), 404, "unknown-upload")


def test_a_lost_connection_keeps_what_came(server: Threaded, settings: Settings) -> None:
    size = 2 * PART_BYTES
    created = httpx.post(f"{server.url}/uploads/resumable", headers={**TUS, "Upload-Length": str(size)})
    url = httpx.URL(created.headers["location"])
    head = "".join(f"{k}: {v}\r\n" for k, v in {**PIECE, "Upload-Offset": "0", "Content-Length": str(size)}.items())
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(f"PATCH {url.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode())
        line.sendall(b"x" * (PART_BYTES + 12345))
        time.sleep(0.3)
    parts = UploadStore(Storage(settings)).parts(url.path.rpartition("/")[2])
    deadline = time.monotonic() + 5
    while parts.offset() < PART_BYTES + 12345 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert parts.offset() == PART_BYTES + 12345


def test_any_cut_of_the_stream_is_stored_in_order(settings: Settings) -> None:
    data = np.random.default_rng(3).bytes(PART_BYTES + 777)
    parts = Parts(Storage(settings), "upl_cut")

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 65_536):
            yield data[start : start + 65_536]
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        asyncio.run(receive_piece(stream(), parts, 0, len(data) + 1))
    assert b"".join(parts.stream()) == data
    with pytest.raises(OffsetConflict):
        parts.add(0, b"again")
    assert parts.offset() == len(data)


def test_a_damaged_piece_is_told_to_a_tus_client(server: Threaded, monkeypatch: pytest.MonkeyPatch) -> None:
    client = TusClient(f"{server.url}/uploads/resumable")
    uploader = client.uploader(file_stream=io.BytesIO(b"x" * 100), upload_checksum=True)
    monkeypatch.setattr("service.tus.CHECKSUMS", {"sha1": hashlib.sha256})
    with pytest.raises(TusCommunicationError) as caught:
        uploader.upload()
    assert caught.value.status_code == 460
