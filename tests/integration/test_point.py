"""What a finished job says of places, and of its areas, held against its own outputs."""

import geopandas as gpd
import httpx
import numpy as np
import pandas as pd
import rasterio
from pyproj import Transformer
from shapely.geometry import Point, shape

from jobs.products import UNIT_TITLES
from models.classes import LOCAL_CLIMATE_ZONES
from worker.products.factsheet import _km2 as written
from worker.products.style import legend as named


def test_twenty_places_are_what_the_outputs_say(client, finished):
    status, files = finished
    table, rng = gpd.read_parquet(files["parcels"]), np.random.default_rng(20)
    names = ("map", "confidence", "units")
    rasters = {name: rasterio.open(files[name]) for name in names}
    grid = rasters["map"]
    arrays = {name: raster.read(1) for name, raster in rasters.items()}
    to_degrees = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    seen = 0
    for row, column in zip(rng.integers(0, grid.height, 20), rng.integers(0, grid.width, 20), strict=True):
        x, y = grid.transform @ (column + 0.4, row + 0.6)
        longitude, latitude = to_degrees.transform(x, y)
        answer = httpx.get(
            f"{client.url}/jobs/{status['jobID']}/point", params={"lon": longitude, "lat": latitude}, timeout=30
        )
        body = answer.raise_for_status().json()
        code, percent, unit = (int(arrays[name][row, column]) for name in names)
        assert body["mapped"] == (code > 0)
        if code:
            assert body["pixel"]["class"]["code"] == code
            assert (body["pixel"]["confidence"], body["pixel"]["unit"]) == (percent / 100, UNIT_TITLES[unit])
        inside = table[table.covers(Point(x, y))]
        assert ("parcel" in body) == (len(inside) > 0)
        if len(inside):
            check_parcel(body["parcel"], inside.iloc[-1], table.crs)
            seen += 1
    assert seen > 5


def check_parcel(parcel, expected, crs):
    assert (parcel["id"], parcel["decided_by"]) == (expected.parcel_id, expected.decided_by)
    assert parcel.get("reason") == (None if pd.isna(expected.reason) else expected.reason)
    for name, column in (("class", "class_code"), ("second", "second_code")):
        assert parcel.get(name, {}).get("code") == (None if pd.isna(expected[column]) else expected[column])
    for name in ("purity", "entropy", "valid_fraction", "pixels"):
        assert abs(parcel[name] - expected[name]) < 1e-6
    told = {one["code"]: one["share"] for one in parcel["probabilities"]}
    for kind in LOCAL_CLIMATE_ZONES:
        share = expected[f"p_{kind.code}"]
        assert abs(told[kind.code] - share) < 1e-6 if kind.code in told else share < 0.00501
    drawn = gpd.GeoSeries([shape(parcel["geometry"])], crs=4326).to_crs(crs)[0]
    assert drawn.symmetric_difference(expected.geometry).area < 0.001 * expected.geometry.area + 2


def test_the_legend_tells_the_areas_of_the_factsheet(client, finished):
    status, files = finished
    page = files["factsheet"].read_text()
    entries = httpx.get(f"{client.url}/jobs/{status['jobID']}/legend").raise_for_status().json()["entries"]
    with rasterio.open(files["map"]) as mapped:
        counted = np.bincount(mapped.read(1).ravel(), minlength=256)
    for kind, entry in zip(LOCAL_CLIMATE_ZONES, entries, strict=True):
        assert entry["km2"] == round(counted[kind.code] * 1e-4, 6)
        row = f'<tr><td>{named(kind)}</td><td class="n">{written(entry["km2"])}</td>'
        assert (row in page) == (counted[kind.code] > 0), row
