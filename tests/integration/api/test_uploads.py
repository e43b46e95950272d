"""Uploaded files: judged by their content, kept, described, used by kind, deleted, or refused and not kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
