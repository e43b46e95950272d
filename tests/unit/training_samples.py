"""Small data sets with the true schemas, made for the tests of training."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import geopandas as gpd
import h5py
import numpy as np
import pytest
import rasterio
from shapely.geometry import box, mapping

from models.data.procedural import CRS, generate

LATTICE = (3, 7)
SIDE = 163


def write_city_folder(folder: Path, seed: int = 21, seasons: tuple[str, ...] = ("spring", "summer")) -> Path:
    """Write a procedural city the way real ones lie in folders; its 100 m cells begin at LATTICE."""
    folder.mkdir(parents=True)
    city = generate(seed, (SIDE, SIDE))
    profile = {
        "driver": "GTiff", "height": SIDE, "width": SIDE, "crs": CRS, "transform": city.transform, "dtype": "uint16",
        "nodata": 0,
    }  # fmt: skip
    rgb = np.clip(city.reflectance[[2, 1, 0]] * 10_000, 1, None)
    for k, season in enumerate(seasons):
        with rasterio.open(folder / f"toy_sen2_rgb_{season}.tif", "w", count=3, **profile) as file:
            file.write((rgb * (1 + 0.1 * k)).astype(np.uint16))
    codes = np.zeros((SIDE, SIDE), dtype=np.uint16)
    for row in range(LATTICE[0], SIDE - 10, 10):
        for column in range(LATTICE[1], SIDE - 10, 10):
            codes[row : row + 10, column : column + 10] = city.truth[row + 5, column + 5]
    with rasterio.open(folder / "toy_lcz.tif", "w", count=1, **profile) as file:
        file.write(codes, 1)
    _write_buildings(folder, city.buildings)
    left, top = city.transform.c, city.transform.f
    squares = [
        box(left + i * 500, top - j * 500 - 500, left + i * 500 + 500, top - j * 500)
        for i in range(4)
        for j in range(4)
    ]
    features = [
        {"type": "Feature", "properties": {"GRD_ID": f"c{k}", "osm_available": k != 5}, "geometry": mapping(square)}
        for k, square in enumerate(squares)
    ]
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{CRS.split(':')[1]}"}}
    told = {"type": "FeatureCollection", "name": "cells", "crs": crs, "features": features}
    (folder / "toy_osm_cells.geojson").write_text(json.dumps(told))
    return folder


def _write_buildings(folder: Path, buildings: gpd.GeoDataFrame) -> None:
    frame = buildings[["geometry"]].copy()
    frame["building"], frame["height"], frame["levels"] = "yes", buildings["height"].round(1).astype(str), None
    frame["levels"] = frame["levels"].astype("object")
    path = folder / "toy_osm_buildings.gpkg"
    frame.to_file(path, layer="buildings", driver="GPKG")
    with zipfile.ZipFile(folder / "toy_osm_buildings.gpkg.zip", "w") as archive:
        archive.write(path, path.name)
    path.unlink()


def write_so2sat(path: Path, patches: int = 40, seed: int = 0) -> Path:
    """Write a part of So2Sat LCZ42: float64, (n, y, x, band), one-hot labels, small chunks."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(patches) % 17)
    sen2 = 0.1 + 0.02 * rng.random((patches, 32, 32, 10)) + 0.01 * codes[:, None, None, None]
    with h5py.File(path, "w") as file:
        file.create_dataset("sen1", data=rng.normal(size=(patches, 32, 32, 8)), chunks=(8, 32, 32, 8))
        file.create_dataset("sen2", data=sen2, chunks=(8, 32, 32, 10))
        file.create_dataset("label", data=np.eye(17)[codes])
    return path


def write_forms(path: Path, patches: int = 40, seed: int = 1) -> Path:
    """Write morphology rasters beside the patches of a part."""
    forms = np.random.default_rng(seed).random((patches, 32, 32, 6))
    forms[..., 5] = 1
    with h5py.File(path, "w") as file:
        file.create_dataset("morphology", data=forms, chunks=(8, 32, 32, 6))
    return path


def stopped_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make runs die as if killed, before the step after some steps."""
    from models.training import loop  # noqa: PLC0415 - needs torch, which not every test here does

    step = loop._step

    def dies(state: object, *rest: object) -> float:
        if state.step == steps:
            raise KeyboardInterrupt
        return step(state, *rest)

    monkeypatch.setattr(loop, "_step", dies)
