"""A finished job as imagery: other units and parcels without asking the network, and what cannot be asked of it."""

import time

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import tritonclient.grpc

from models.classes import LOCAL_CLIMATE_ZONES
from service.client import Refused
from tests.journeys import PROCESS, drafts, fetch, finish, stac_inputs


def tiles(stack) -> int:
    """How many tiles the network has mapped; the stack's own probes, one every half minute, count too."""
    with tritonclient.grpc.InferenceServerClient(stack.triton.grpc_url) as triton:
        told = triton.get_inference_statistics("magnet", as_json=True)["model_stats"]
    return sum(int(m.get("inference_count", 0)) for m in told)


def pixels(path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read(1)


def test_same_choices_give_the_same_map_without_the_network(stack, client, sample, finished, tmp_path):
    status, outputs = finished
    before = tiles(stack)
    parcels = {"upload": client.upload(sample / "parcels.gpkg")["upload"], "id_field": "parcel_id"}
    again = finish(client, {"imagery": {"job": status["jobID"]}, "parcels": parcels})
    assert again["status"] == "successful", again
    assert tiles(stack) - before < again["blocks"]["total"]
    files = fetch(client, again["jobID"], tmp_path)
    for name in ("map", "confidence", "units"):
        assert np.array_equal(pixels(files[name]), pixels(outputs[name])), name
    first, second = gpd.read_parquet(outputs["parcels"]), gpd.read_parquet(files["parcels"])
    assert first.equals(second)


def test_other_units_and_no_parcels_come_in_seconds(client, finished, tmp_path):
    status, outputs = finished
    started = time.monotonic()
    again = finish(
        client, {"imagery": {"job": status["jobID"]}, "units": "pixel", "outputs": ["map", "units", "style"]}
    )
    assert again["status"] == "successful", again
    assert time.monotonic() - started < 20
    files = fetch(client, again["jobID"], tmp_path)
    assert set(files) == {"map", "units", "style"}
    assert set(np.unique(pixels(files["units"]))) <= {0, 1}
    assert (pixels(files["map"]) != pixels(outputs["map"])).any()
    assert (pixels(files["map"]) > 0).sum() > 0.95 * (pixels(outputs["map"]) > 0).sum()
    mapped, drawn = pixels(files["map"]), drafts(client, again["jobID"])
    colours = np.array([(0, 0, 0), *(told.rgb for told in LOCAL_CLIMATE_ZONES)])[mapped]
    assert (drawn[..., :3] == colours)[mapped > 0].all()


def test_its_uncertainty_says_that_reasons_were_not_kept(client, finished, tmp_path):
    status, _ = finished
    again = finish(client, {"imagery": {"job": status["jobID"]}, "outputs": ["map", "uncertainty"]})
    assert again["status"] == "successful", again
    assert "reasons-not-kept" in {w["code"] for w in again["warnings"]}
    with rasterio.open(fetch(client, again["jobID"], tmp_path)["uncertainty"]) as raster:
        bands = raster.read()
    assert (bands[3:] == 255).all()
    assert (bands[0] != 255).any()


def test_map_of_cells_from_a_map_of_pixels(client, finished, tmp_path):
    status, _ = finished
    again = finish(client, {"imagery": {"job": status["jobID"]}, "resolution": 100, "outputs": ["map"]})
    assert again["status"] == "successful", again
    with rasterio.open(fetch(client, again["jobID"], tmp_path)["map"]) as raster:
        assert raster.res == (100, 100)
    body = {"inputs": {"imagery": {"job": again["jobID"]}, "resolution": 100, "units": "scene", "outputs": ["map"]}}
    assert client.submit(PROCESS, body)["status"] == "accepted"


def test_blocks_between_streets_stand_in_for_parcels(client, sample, finished, tmp_path):
    status, _ = finished
    streets = client.upload(sample / "streets.gpkg")["upload"]
    parcels = {"derive": "streets", "streets": {"upload": streets}}
    again = finish(client, {"imagery": {"job": status["jobID"]}, "parcels": parcels, "outputs": ["map", "parcels"]})
    assert again["status"] == "successful", again
    table = gpd.read_parquet(fetch(client, again["jobID"], tmp_path)["parcels"])
    assert len(table) > 20
    assert table.parcel_id.str.fullmatch(r"block-\d+").all()
    assert set(table.decided_by) >= {"parcel"}
    assert (table.area_m2 >= 1000).mean() > 0.95


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"aoi": {"bbox": [17, 56, 17.1, 56.1]}}, "/inputs"),
        ({"model": "magnet-rgb"}, "/inputs/model"),
        ({"outputs": ["map", "image"]}, "/inputs/outputs/1"),
        ({"imagery": {"job": "job_00000000000000000000000000"}}, "/inputs/imagery/job"),
        ({"imagery": {"job": "../../etc"}}, "/inputs/imagery/job"),
    ],
)
def test_what_cannot_be_asked_of_it_is_refused(client, finished, more, pointer):
    body = {"inputs": {"imagery": {"job": finished[0]["jobID"]}, **more}}
    with pytest.raises(Refused) as caught:
        client.submit(PROCESS, body)
    assert caught.value.problem["status"] == 422
    assert caught.value.problem["errors"][0]["pointer"] == pointer


def test_job_that_is_not_finished_or_was_dismissed_is_refused(client, sample):
    job = client.submit(PROCESS, {"inputs": stac_inputs(sample)})["jobID"]
    with pytest.raises(Refused, match="not finished yet"):
        client.submit(PROCESS, {"inputs": {"imagery": {"job": job}}})
    client.dismiss(job)
    with pytest.raises(Refused, match="was dismissed"):
        client.submit(PROCESS, {"inputs": {"imagery": {"job": job}}})
