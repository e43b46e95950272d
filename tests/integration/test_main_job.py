"""The main job for real: an area goes in over HTTP, a checked map comes back through signed links."""

import html
import io
import json
import zipfile

import geopandas as gpd
import httpx
import numpy as np
import pystac
import rasterio
from PIL import Image
from rio_cogeo.cogeo import cog_validate

from jobs.request import DEFAULT_OUTPUTS
from service.stack.sample import overall_accuracy, unusable
from tests.journeys import PROCESS, TITLE, drafts, fetch, finish, stac_inputs


def test_job_fans_out_and_ends_at_a_hundred_percent(finished):
    status, _ = finished
    assert status["progress"] == 100
    assert status["blocks"]["total"] == status["blocks"]["done"] > 1


def test_every_output_comes_back_and_opens(finished):
    _, outputs = finished
    assert set(outputs) == set(DEFAULT_OUTPUTS)
    assert unusable(outputs) == []


def test_map_is_right(finished, sample):
    _, outputs = finished
    assert overall_accuracy(outputs["map"], sample / "truth.tif") >= 0.80


def test_map_is_a_cog_with_its_palette_and_nodata(finished):
    _, outputs = finished
    valid, errors, warnings = cog_validate(outputs["map"], strict=True, quiet=True)
    assert valid, (errors, warnings)
    with rasterio.open(outputs["map"]) as mapped:
        assert mapped.dtypes == ("uint8",)
        assert mapped.nodata == 0
        assert mapped.colormap(1)[17] == (0x6A, 0x6A, 0xFF, 255)
        assert mapped.res == (10.0, 10.0)
        assert mapped.bounds.left % 100 == 0


def test_units_and_confidence_agree_with_the_map(finished):
    _, outputs = finished
    arrays = {}
    for name in ("map", "confidence", "units"):
        with rasterio.open(outputs[name]) as raster:
            arrays[name] = raster.read(1)
    mapped = arrays["map"] > 0
    assert ((arrays["units"] > 0) == mapped).all()
    assert set(np.unique(arrays["units"][mapped])) <= {1, 2, 3, 4}
    assert arrays["confidence"][mapped].min() >= 100 // 17
    assert arrays["confidence"].max() <= 100


def test_drafts_of_blocks_cover_the_grid_and_show_what_pixels_decided(finished, client):
    status, outputs = finished
    drawn = drafts(client, status["jobID"])
    with rasterio.open(outputs["map"]) as raster, rasterio.open(outputs["units"]) as units:
        colours = np.array([raster.colormap(1)[code] for code in range(18)])[raster.read(1)]
        by_pixels = units.read(1) == 1
    assert drawn.shape == colours.shape
    assert (drawn[..., 3] == 255).all()
    assert by_pixels.sum() > 500
    assert (drawn[by_pixels] == colours[by_pixels]).all()


def test_parcels_keep_their_ids_and_their_probabilities_sum_to_one(finished, sample):
    _, outputs = finished
    table, asked = gpd.read_parquet(outputs["parcels"]), gpd.read_file(sample / "parcels.gpkg")
    assert set(table.parcel_id) <= set(asked.parcel_id)
    decided = table[table.valid_fraction > 0]
    sums = decided[[f"p_{i}" for i in range(1, 18)]].sum(axis=1)
    assert np.allclose(sums, 1, atol=1e-3)
    assert {"parcel", "block"} <= set(table.decided_by) <= {"parcel", "block", "scene", "pixel", "abstain"}
    assert len(gpd.read_file(outputs["parcels-gpkg"], layer="parcels")) == len(table)


def test_preview_is_a_picture_and_the_style_a_zip(finished):
    _, outputs = finished
    with Image.open(outputs["preview"]) as image:
        assert min(image.size) > 500
    with zipfile.ZipFile(io.BytesIO(outputs["style"].read_bytes())) as archive:
        assert "map.qml" in archive.namelist()


def test_stac_item_describes_every_output(finished):
    _, outputs = finished
    item = pystac.Item.from_dict(json.loads(outputs["item"].read_text()))
    assert set(item.assets) >= set(DEFAULT_OUTPUTS) - {"item"}
    assert item.assets["map"].extra_fields["file:size"] == outputs["map"].stat().st_size
    assert [link.href for link in item.links if link.rel == "derived_from"]


def test_the_jobs_title_is_on_what_people_read(finished):
    status, outputs = finished
    assert status["title"] == TITLE
    assert json.loads(outputs["item"].read_text())["properties"]["title"] == TITLE
    assert html.escape(TITLE) in outputs["factsheet"].read_text(encoding="utf-8")


def test_links_are_private_and_ranged(finished, client):
    status, outputs = finished
    link = client.results(status["jobID"])["map"]
    part = httpx.get(link["href"], headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, outputs["map"].read_bytes()[:4])
    assert httpx.get(link["href"].split("?")[0]).status_code in {403, 422}
    assert httpx.get(link["href"].replace("expires=", "expires=1")).status_code == 403


def test_upload_of_the_same_city_gives_the_same_classes(client, sample, tmp_path):
    upload = client.upload(sample / "imagery.tif")["upload"]
    buildings = {"upload": client.upload(sample / "buildings.gpkg")["upload"]}
    status = finish(client, {"imagery": {"uploads": [upload]}, "buildings": buildings, "outputs": ["map"]})
    assert status["status"] == "successful", status
    outputs = fetch(client, status["jobID"], tmp_path)
    assert set(outputs) == {"map"}
    assert overall_accuracy(outputs["map"], sample / "truth.tif") >= 0.75


def test_without_buildings_the_spectral_branch_maps_alone(client, sample, tmp_path):
    status = finish(client, stac_inputs(sample) | {"units": "pixel"})
    outputs = fetch(client, status["jobID"], tmp_path)
    assert overall_accuracy(outputs["map"], sample / "truth.tif") >= 0.5


def test_probabilities_come_on_request(client, sample, tmp_path):
    status = finish(client, stac_inputs(sample) | {"outputs": ["map", "probabilities"]})
    outputs = fetch(client, status["jobID"], tmp_path)
    with zipfile.ZipFile(outputs["probabilities"]) as archive:
        assert any(name.endswith("zarr.json") for name in archive.namelist())


def test_an_estimate_is_what_the_job_comes_to(client, finished, sample):
    status, _ = finished
    answer = httpx.post(f"{client.url}/processes/{PROCESS}/estimate", json={"inputs": stac_inputs(sample)}, timeout=30)
    body = answer.json()
    assert body["blocks"] == status["blocks"]["total"]
    assert body["seconds"] > 0
