"""Uploaded files: judged by their content, kept, described, used by kind, deleted, or refused and not kept."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from jobs.keys import KeyStore
from jobs.record import now
from jobs.settings import Settings
from jobs.uploads import UploadStore, expire_uploads
from models.errors import CityzonesError
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import Api, problem, settings_in, write_image

GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"PARCEL_ID": "7"},
            "geometry": {"type": "Polygon", "coordinates": [[[13, 52], [13.1, 52], [13.1, 52.1], [13, 52]]]},
        }
    ],
}


def test_uploads_are_judged_kept_described_and_deleted(api: Api, tmp_path: Path) -> None:
    image = write_image(tmp_path / "Städtchen.tif", bands=3)
    answer = api.upload(image)
    assert answer.status_code == 201, answer.text
    record = answer.json()
    assert answer.headers["location"] == f"http://127.0.0.1/uploads/{record['upload']}"
    assert (record["kind"], record["filename"], record["size"]) == ("image", "Städtchen.tif", image.stat().st_size)
    assert record["facts"]["count"] == 3
    assert api.store.storage.get(record["key"]) == image.read_bytes()
    assert not list((tmp_path / "scratch").iterdir())
    assert api.get(f"/uploads/{record['upload']}").json() == record
    assert api.ask("DELETE", f"/uploads/{record['upload']}").status_code == 204
    problem(api.get(f"/uploads/{record['upload']}"), 404, "unknown-upload")
    assert api.store.storage.get(record["key"]) is None


def test_uploads_of_the_wrong_kind_are_pointed_at(api: Api, tmp_path: Path) -> None:
    (tmp_path / "p.geojson").write_text(json.dumps(GEOJSON))
    vector = api.upload(tmp_path / "p.geojson").json()
    image = api.upload(write_image(tmp_path / "i.tif")).json()
    assert (vector["kind"], image["kind"]) == ("vector", "image")
    swapped = {"imagery": {"uploads": [vector["upload"]]}, "parcels": {"upload": image["upload"]}}
    body = problem(api.execute({"inputs": swapped}), 422, "invalid-request")
    assert [f["pointer"] for f in body["errors"]] == ["/inputs/imagery/uploads/0", "/inputs/parcels/upload"]
    right = {"imagery": {"uploads": [image["upload"]]}, "parcels": {"upload": vector["upload"]}}
    assert api.execute({"inputs": right}).status_code == 201


def test_images_beside_the_area_or_named_twice_are_refused_at_once(api: Api, tmp_path: Path) -> None:
    upload = api.upload(write_image(tmp_path / "i.tif", side=(200, 200))).json()["upload"]
    elsewhere = {"imagery": {"uploads": [upload]}, "aoi": {"bbox": [2.30, 48.80, 2.32, 48.82]}}
    body = problem(api.execute({"inputs": elsewhere}), 422, "no-imagery")
    assert body["errors"][0]["pointer"] == "/inputs/aoi"
    assert "13.3" in body["detail"]
    twice = problem(api.execute({"inputs": {"imagery": {"uploads": [upload, upload]}}}), 422, "invalid-request")
    assert twice["errors"][0]["pointer"] == "/inputs/imagery/uploads/1"
    inside = {"imagery": {"uploads": [upload]}, "aoi": {"bbox": [13.38, 52.505, 13.40, 52.515]}}
    assert api.execute({"inputs": inside}).status_code == 201


@pytest.mark.parametrize(
    ("data", "status"), [(b"MZ\x90\x00", 415), (b"<VRTDataset/>", 415), (b"", 415), (b"II*\x00" + b"\0" * 50, 422)]
)
def test_files_that_cannot_be_used_are_refused_and_not_kept(api: Api, tmp_path: Path, data: bytes, status: int) -> None:
    (tmp_path / "image.tif").write_bytes(data)
    answer = api.upload(tmp_path / "image.tif")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert api.store.storage.keys("uploads") == []


def test_a_file_over_the_limit_is_refused(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    api = Api(settings_in(tmp_path, max_upload_bytes=1000))
    (tmp_path / "big.tif").write_bytes(b"II*\x00" + b"x" * 3000)
    body = problem(api.upload(tmp_path / "big.tif"), 413, "upload-too-large")
    assert "1000 bytes" in body["detail"]
    assert api.store.storage.keys("uploads") == []
    assert not list((tmp_path / "scratch").iterdir())


def _digest(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def _nothing_kept(api: Api, tmp_path: Path) -> None:
    assert api.store.storage.keys("uploads") == []
    assert api.store.storage.keys("tenants") == []
    assert not list((tmp_path / "scratch").iterdir())


def test_a_file_is_held_against_the_digest_that_comes_with_it(api: Api, tmp_path: Path) -> None:
    data = write_image(tmp_path / "i.tif").read_bytes()
    files = {"file": ("i.tif", data)}
    wrong = api.ask("POST", "/uploads", files=files, headers={"Repr-Digest": _digest(data + b"x")})
    assert hashlib.sha256(data).hexdigest() in problem(wrong, 422, "checksum-mismatch")["detail"]
    problem(
        api.ask("POST", "/uploads", files=files, headers={"Content-Digest": _digest(data)}), 422, "checksum-mismatch"
    )
    problem(api.ask("POST", "/uploads", files=files, headers={"Repr-Digest": "sha-256=x"}), 400, "malformed-request")
    _nothing_kept(api, tmp_path)
    right = api.ask("POST", "/uploads", files=files, headers={"Repr-Digest": _digest(data)})
    assert right.json()["sha256"] == hashlib.sha256(data).hexdigest()
    body = json.dumps({"filename": "i.tif", "size": 5}).encode()
    told = {"Content-Type": "application/json", "Content-Digest": _digest(body)}
    assert api.ask("POST", "/uploads", content=body, headers=told).status_code == 201


def test_a_client_that_goes_away_leaves_nothing(api: Api, tmp_path: Path) -> None:
    form = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.tif"\r\n\r\n' + b"II*\0" + b"x" * 2**21
    came = iter([{"type": "http.request", "body": form, "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(came)

    async def send(message: Any) -> None:
        sent.append(message)

    told = [(b"content-type", b"multipart/form-data; boundary=cut"), (b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "POST", "path": "/uploads", "raw_path": b"/uploads", "query_string": b"",
             "headers": told, "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80),
             "client": ("127.0.0.1", 1), "root_path": ""}  # fmt: skip
    asyncio.run(api.app(scope, receive, send))
    assert sent[0]["status"] == 400
    _nothing_kept(api, tmp_path)


def test_what_a_killed_process_left_is_tidied_up(api: Api, tmp_path: Path) -> None:
    old, new = (tmp_path / "scratch" / f"cityzones-upload-{age}" for age in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "arriving").write_bytes(b"x")
    os.utime(old, (0, 0))
    assert api.upload(write_image(tmp_path / "i.tif")).status_code == 201
    assert (old.exists(), new.exists()) == (False, True)


@contextmanager
def _small_disk(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_nothing_is_left(api: Api, tmp_path: Path) -> None:
    (tmp_path / "i.tif").write_bytes(b"II*\0" + b"x" * 2**20)
    with _small_disk(2**19):
        answer = api.upload(tmp_path / "i.tif")
    problem(answer, 507, "scratch-full")
    _nothing_kept(api, tmp_path)


def test_a_tenant_keeps_only_so_much(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    image = write_image(tmp_path / "i.tif")
    size = image.stat().st_size
    api = Api(settings_in(tmp_path, upload_bytes=2 * size + 100))
    UploadStore(api.store.storage).announce(way="direct", filename="x", size=10 * size, tenant="another")
    first = api.upload(image).json()["upload"]
    announced = api.ask("POST", "/uploads", json={"filename": "b.tif", "size": size})
    assert announced.status_code == 201
    body = problem(api.upload(image), 413, "upload-quota-exceeded")
    assert f"{2 * size} of the {2 * size + 100} bytes" in body["detail"]
    more = api.ask("POST", "/uploads", json={"filename": "c.tif", "size": 101})
    problem(more, 413, "upload-quota-exceeded")
    assert api.ask("DELETE", f"/uploads/{first}").status_code == 204
    assert api.upload(image).status_code == 201
    assert api.ask("DELETE", f"/uploads/{announced.json()['upload']}").status_code == 204
    assert api.upload(image).status_code == 201


def test_uploads_are_listed_page_by_page_to_their_owner(api: Api, tmp_path: Path) -> None:
    image = write_image(tmp_path / "i.tif")
    theirs = UploadStore(api.store.storage).announce(way="resumable", filename="x", size=5, tenant="another").upload
    made = [api.upload(image).json()["upload"] for _ in range(3)]
    made.append(api.ask("POST", "/uploads", json={"filename": "b.tif", "size": 7}).json()["upload"])
    page = api.get("/uploads?limit=3").json()
    assert [u["upload"] for u in page["uploads"]] == made[:0:-1]
    assert [u["status"] for u in page["uploads"]] == ["awaiting", "complete", "complete"]
    following = next(link["href"] for link in page["links"] if link["rel"] == "next")
    rest = api.get(following.removeprefix("http://127.0.0.1")).json()
    assert [u["upload"] for u in rest["uploads"]] == made[:1]
    assert [link["rel"] for link in rest["links"]] == ["self"]
    problem(api.get(f"/uploads/{theirs}"), 404, "unknown-upload")
    problem(api.ask("POST", f"/uploads/{theirs}/complete"), 404, "unknown-upload")
    problem(api.ask("DELETE", f"/uploads/{theirs}"), 404, "unknown-upload")
    told = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    problem(api.ask("PATCH", f"/uploads/resumable/{theirs}", headers=told, content=b"x"), 404, "unknown-upload")
    assert api.ask("HEAD", f"/uploads/{made[0]}").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"filename": "a.tif", "size": 0}, 400, "invalid-parameter"),
        ({"filename": "a.tif", "size": "7"}, 400, "invalid-parameter"),
        ({"filename": "", "size": 7}, 400, "invalid-parameter"),
        ({"filename": "a.tif", "size": 7, "sha256": "abc"}, 400, "invalid-parameter"),
        ({"filename": "a.tif", "size": 7, "tenant": "another"}, 400, "invalid-parameter"),
        ([], 400, "invalid-parameter"),
        ({"filename": "\ud800", "size": 7}, 400, "malformed-json"),
        ({"filename": "a" * 20_000, "size": 7}, 413, "body-too-large"),
        ({"filename": "a.tif", "size": 2**40}, 413, "upload-too-large"),
    ],
)
def test_announcements_that_say_nothing_usable_are_refused(
    api: Api, tmp_path: Path, body: Any, status: int, code: str
) -> None:
    sent = json.dumps(body).encode()  # escapes what UTF-8 cannot hold
    problem(api.ask("POST", "/uploads", content=sent, headers={"Content-Type": "application/json"}), status, code)
    assert api.store.storage.keys("uploads") == []


def test_a_key_that_may_only_read_is_not_told_where_bytes_go(settings: Settings) -> None:
    api = Api(settings.model_copy(update={"auth": "keys", "callback_secret": SecretStr("a secret of the tests" * 2)}))
    keys: KeyStore = api.app.state.open().keys
    submits, reads = (
        {"Authorization": f"Bearer {keys.create('town', scopes, name='k').text}"} for scopes in (["submit"], ["read"])
    )
    told = {"filename": "b.tif", "size": 7}
    announced = api.ask("POST", "/uploads", json=told, headers=submits).json()
    assert announced["send_to"]["href"]
    path = f"/uploads/{announced['upload']}"
    assert "send_to" not in api.get(path, headers=reads).json()
    assert "send_to" not in api.get("/uploads", headers=reads).json()["uploads"][0]
    problem(api.ask("POST", "/uploads", json=told, headers=reads), 403, "forbidden")
    problem(api.ask("POST", f"{path}/complete", headers=reads), 403, "forbidden")


def test_an_announced_upload_is_no_imagery_yet(api: Api) -> None:
    upload = api.ask("POST", "/uploads", json={"filename": "b.tif", "size": 7}).json()["upload"]
    body = problem(api.execute({"inputs": {"imagery": {"uploads": [upload]}}}), 422, "invalid-request")
    assert "is not complete" in body["detail"]
    assert body["errors"][0]["pointer"] == "/inputs/imagery/uploads/0"


def test_what_is_past_its_date_is_deleted_unless_a_job_needs_it(api: Api, tmp_path: Path) -> None:
    image = write_image(tmp_path / "i.tif")
    used, unused = (api.upload(image).json() for _ in range(2))
    awaited = api.ask("POST", "/uploads", json={"filename": "b.tif", "size": 7}).json()["upload"]
    store = UploadStore(api.store.storage)
    job = api.execute({"inputs": {"imagery": {"uploads": [used["upload"]]}}}).json()["jobID"]
    expire = lambda **later: expire_uploads(store, api.store, now() + timedelta(**later))  # noqa: E731
    assert expire(hours=23) == []
    assert expire(hours=26) == [awaited]
    assert expire(days=6, hours=23) == []
    assert expire(days=8) == [unused["upload"]]
    problem(api.get(f"/uploads/{unused['upload']}"), 404, "unknown-upload")
    assert store.storage.get(used["key"]) == image.read_bytes()
    api.store.fail(job, CityzonesError("it ended"))
    assert expire(days=8) == [used["upload"]]
    assert store.storage.keys("uploads") + store.storage.keys("upload-ends") == []
    assert store.storage.keys("tenants/public/uploads") == []
    assert expire(days=8) == []


def test_an_upload_past_its_date_starts_no_job(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = api.upload(write_image(tmp_path / "i.tif")).json()["upload"]
    monkeypatch.setattr("service.named.now", lambda: now() + timedelta(days=7, minutes=1))
    body = problem(api.execute({"inputs": {"imagery": {"uploads": [upload]}}}), 422, "invalid-request")
    assert "send the file again" in body["detail"]


def test_leftovers_of_a_crash_go_with_time(api: Api, tmp_path: Path) -> None:
    store = UploadStore(api.store.storage)
    lost = "upl_01k0000000000000000000000a"
    store.ledger.enter("public", lost, 3, ends=now(), allowance=None)
    store.storage.put(f"uploads/{lost}/original-x.tif", b"abc")
    assert expire_uploads(store, api.store, now() + timedelta(hours=2)) == [lost]
    assert store.storage.keys("") == []
