"""Real images and real parcels through the whole service; the data stay beside the checkout."""

import collections

import geopandas as gpd
import numpy as np
import pytest
import rasterio

from tests.journeys import fetch, finish

pytestmark = pytest.mark.real_data

EUROSAT_BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A"]
NEEDED = ["B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"]
LOW_PLANTS, WATER, SPARSE = 14, 17, 9


def shares(path) -> dict[int, float]:
    with rasterio.open(path) as mapped:
        codes = mapped.read(1)
    counts = collections.Counter(codes[codes > 0].tolist())
    return {code: n / sum(counts.values()) for code, n in counts.most_common()}


def upload_bands(client, folder, names) -> list[str]:
    return [client.upload(folder / f"{name}.tif")["upload"] for name in names]


def mapped(client, imagery, folder, **more):
    inputs = {"imagery": imagery, "model": "so2sat-resnet20", "outputs": ["map", "parcels", "preview", "factsheet"]}
    status = finish(client, inputs | more)
    assert status["status"] == "successful", status
    return status, fetch(client, status["jobID"], folder)


@pytest.mark.parametrize(
    ("chip", "code", "least"),
    [("SeaLake_3000", WATER, 1.0), ("AnnualCrop_1", LOW_PLANTS, 0.95), ("Pasture_300", LOW_PLANTS, 0.4)],
)
def test_eurosat_chip_is_what_it_shows(client, shared_data, tmp_path, chip, code, least):
    """All windows wholly inside the chip agree with the published check; cells at its border see mirrored pixels."""
    upload = client.upload(shared_data / "sentinel2_10band_chips" / f"eurosat_{chip}.tif")["upload"]
    _, outputs = mapped(client, {"uploads": [upload], "bands": EUROSAT_BANDS}, tmp_path)
    found = shares(outputs["map"])
    assert next(iter(found)) == code, found
    assert found[code] >= least, found


def test_ssl4eo_scene_is_mostly_farmland(client, shared_data, tmp_path):
    folder = shared_data / "sentinel2_10band_chips" / "ssl4eo_s2c"
    status, outputs = mapped(client, {"uploads": upload_bands(client, folder, NEEDED)}, tmp_path)
    found = shares(outputs["map"])
    assert found[LOW_PLANTS] > 0.85, found  # 214 of 225 windows in the published check
    assert "domain-shift" not in {w["code"] for w in status["warnings"]}


@pytest.mark.scale
def test_major_tom_surface_reflectance_runs_and_warns(client, shared_data, tmp_path):
    folder = shared_data / "sentinel2_10band_chips" / "majortom_199U_1099R"
    names = [f"B{int(n[1:]):02d}" if n[1:].isdigit() else n for n in NEEDED]
    status, outputs = mapped(client, {"uploads": upload_bands(client, folder, names)}, tmp_path)
    assert "domain-shift" in {w["code"] for w in status["warnings"]}
    with rasterio.open(outputs["map"]) as raster:
        assert raster.shape == (1070, 1070)  # whole scene cells
        assert np.count_nonzero(raster.read(1)) == 1068**2


def test_prague_plots_come_back_whole(client, shared_data, tmp_path):
    """All 407 cadastral plots, over an invented image that covers them."""
    source = shared_data / "prague_bubenec_plots" / "bubenec.gpkg"
    plots = gpd.read_file(source, layer="plots").set_index("ID")
    image = invented_image(plots, tmp_path / "image.tif")
    parcels = {"upload": client.upload(source)["upload"], "layer": "plots", "id_field": "ID"}
    imagery = {"uploads": [client.upload(image)["upload"]]}
    _, outputs = mapped(client, imagery, tmp_path / "out", parcels=parcels)
    table = gpd.read_parquet(outputs["parcels"])
    assert len(table) == 407
    assert set(table.parcel_id) == set(plots.index)
    back = table.set_index("parcel_id").to_crs(plots.crs).geometry.area
    assert np.abs(back / plots.geometry.area.reindex(back.index) - 1).median() < 1e-3


def invented_image(plots, path):
    """Reflectance of the order of a town's, random, over the plots' bounds in UTM."""
    left, bottom, right, top = plots.to_crs(32633).total_bounds
    transform = rasterio.transform.from_origin(np.floor(left / 100) * 100 - 500, np.ceil(top / 100) * 100 + 500, 10, 10)
    height, width = (int(side // 10) + 110 for side in (top - bottom, right - left))
    values = np.random.default_rng(7).normal(1500, 300, (10, height, width)).clip(1, 9000).astype("uint16")
    profile = {"driver": "GTiff", "count": 10, "dtype": "uint16", "crs": "EPSG:32633", "transform": transform}
    with rasterio.open(path, "w", height=height, width=width, **profile) as raster:
        raster.write(values)
        raster.scales = [1e-4] * 10
        for index, name in enumerate(NEEDED, 1):
            raster.set_band_description(index, name)
    return path
