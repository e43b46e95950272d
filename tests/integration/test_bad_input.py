"""Bad input, each with an answer of its own; nothing is left half-written and the worker lives on."""

import json

import geopandas as gpd
import httpx
import numpy as np
import pytest
import rasterio
from shapely.geometry import box, mapping

from tests.journeys import finish, stac_inputs

EXECUTE = "/processes/local-climate-zones/execution"


@pytest.fixture
def api(stack):
    with httpx.Client(base_url=stack.url, timeout=30) as api:
        yield api


def jobs_on_disk(stack) -> set[str]:
    folder = stack.folder / "store" / "jobs"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def uploads_on_disk(stack) -> set[str]:
    folder = stack.folder / "store" / "uploads"
    return {path.name for path in folder.rglob("*")} if folder.exists() else set()


def problem(answer, status: int) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    body = answer.json()
    assert body["status"] == status
    return body


def aoi_of(value, sample):
    return {"inputs": stac_inputs(sample) | {"aoi": value}}


BOW_TIE = {"type": "Polygon", "coordinates": [[[15, 50], [15.1, 50.1], [15.1, 50], [15, 50.1], [15, 50]]]}


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"aoi": BOW_TIE}, "invalid-area", "Self-intersection"),
        ({"aoi": {"bbox": [179.9, 0, -179.9, 0.1]}}, "antimeridian", "each side"),
        ({"aoi": {"type": "Polygon", "coordinates": []}}, "empty-area", "inside"),
        ({"aoi": {"bbox": [15, 50, 15, 50]}}, "empty-area", "inside"),
        ({"aoi": {"bbox": [10, 45, 15, 50]}}, "area-out-of-limits", "km2"),
        ({"imagry": {}}, "invalid-request", "did you mean 'imagery'"),
        ({"model": "magnit"}, "unknown-model", "known models"),
        ({"parcels": {"upload": "upl_" + "0" * 26}}, "invalid-request", "there is no upload upl_"),
    ],
)
def test_bad_request_is_refused_before_a_job_exists(api, stack, sample, change, kind, says):
    before = jobs_on_disk(stack)
    body = problem(api.post(EXECUTE, json={"inputs": stac_inputs(sample) | change}), 422)
    assert body["type"].endswith(kind)
    assert says in json.dumps(body)
    assert jobs_on_disk(stack) == before


@pytest.mark.parametrize("body", [b"{not json", b"", b"\xff\xfe", b"[" * 100_000])
def test_not_json_is_malformed(api, body):
    answer = api.post(EXECUTE, content=body, headers={"content-type": "application/json"})
    assert problem(answer, 400)["code"] == "malformed-json"


def write_raster(path, *, count=10, crs="EPSG:32633", size=64, **more):
    values = np.random.default_rng(1).integers(500, 3000, (count, size, size)).astype("uint16")
    transform = rasterio.transform.from_origin(500_000, 5_500_000, 10, 10)
    profile = {"driver": "GTiff", "count": count, "dtype": "uint16", "transform": transform, "crs": crs} | more
    with rasterio.open(path, "w", height=size, width=size, **profile) as raster:
        raster.write(values)
    return path


def truncated(folder):
    path = write_raster(folder / "whole.tif", size=512, tiled=True)
    half = folder / "half.tif"
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return half


def text(folder):
    path = folder / "text.tif"
    path.write_text("this is no image\n" * 100)
    return path


def vrt(folder):
    write_raster(folder / "real.tif")
    path = folder / "disguised.tif"
    source = '<SourceFilename relativeToVRT="0">/etc/passwd</SourceFilename><SourceBand>1</SourceBand>'
    path.write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1">'
        f"<SimpleSource>{source}</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return path


def no_crs_raster(folder):
    return write_raster(folder / "nowhere.tif", crs=None)


def no_crs_parcels(folder):
    path = folder / "parcels.gpkg"
    gpd.GeoDataFrame({"id": [1]}, geometry=[box(0, 0, 9, 9)]).to_file(path, driver="GPKG")
    return path


@pytest.mark.parametrize(
    ("make", "status", "kind"),
    [
        (truncated, 422, "bad-image"),
        (text, 415, "unsupported-format"),
        (vrt, 415, "unsupported-format"),
        (no_crs_raster, 422, "missing-crs"),
        (no_crs_parcels, 422, "missing-crs"),
    ],
)
def test_bad_file_is_refused_on_arrival(api, stack, tmp_path, make, status, kind):
    before = uploads_on_disk(stack)
    path = make(tmp_path)
    body = problem(api.post("/uploads", files={"file": (path.name, path.read_bytes())}), status)
    assert body["type"].endswith(kind), body
    assert uploads_on_disk(stack) == before


def failed(client, inputs) -> dict:
    """The problem of a job that could only be judged by planning it."""
    status = finish(client, inputs)
    assert status["status"] == "failed", status
    with pytest.raises(Exception, match=r"."):
        client.results(status["jobID"])
    return status["problem"]


def test_area_outside_the_imagery_says_what_to_do(client, sample):
    found = failed(client, stac_inputs(sample) | {"aoi": {"bbox": [15.0, 50.0, 15.02, 50.02]}})
    assert found["type"].endswith("no-imagery")
    assert "2000-01-01" in found["detail"]


def test_three_bands_to_a_ten_band_model(client, tmp_path):
    upload = client.upload(write_raster(tmp_path / "rgb.tif", count=3))["upload"]
    found = failed(client, {"imagery": {"uploads": [upload]}})
    assert found["type"].endswith("wrong-bands")
    assert "B8A" in found["detail"]


def test_parcels_outside_the_area(client, sample, tmp_path):
    path = tmp_path / "far.geojson"
    feature = {"type": "Feature", "properties": {}, "geometry": mapping(box(2, 48, 2.01, 48.01))}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    parcels = {"upload": client.upload(path)["upload"]}
    found = failed(client, stac_inputs(sample) | {"parcels": parcels})
    assert found["type"].endswith("parcels-outside-area")


def test_unknown_id_field_names_the_fields_there_are(client, sample):
    parcels = {"upload": client.upload(sample / "parcels.gpkg")["upload"], "id_field": "gibtsnicht"}
    found = failed(client, stac_inputs(sample) | {"parcels": parcels})
    assert "parcel_id" in found["detail"]


def test_failed_job_leaves_no_outputs_and_the_worker_lives_on(client, stack, sample):
    failed(client, stac_inputs(sample) | {"aoi": {"bbox": [15.0, 50.0, 15.02, 50.02]}})
    newest = max(jobs_on_disk(stack))
    left = {path.name for path in (stack.folder / "store" / "jobs" / newest).rglob("*") if path.is_file()}
    assert left == {"request.json", "failure.json", "log.jsonl"}
    assert finish(client, stac_inputs(sample) | {"outputs": ["map"]})["status"] == "successful"
