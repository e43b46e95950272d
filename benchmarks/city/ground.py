"""Procedural cities of any size as files: a few cities of five kilometres, laid side by side, written tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from models.data.procedural import BANDS, CRS, City, generate
from models.data.procedural.sample import OFFSET, SCALE, digital_numbers

TILE_PIXELS: Final = 500
TILE_KM: Final = 5
SEEDS: Final = (3001, 3002, 3003, 3004, 3005, 3006, 3007, 3008)


@dataclass(frozen=True, slots=True)
class Ground:
    """The files of one city: imagery (ten bands), and building footprints and blocks where they were asked for."""

    imagery: Path
    buildings: Path | None
    parcels: Path | None


def make_ground(folder: Path, side_km: int, *, vectors: bool) -> Ground:
    """Write a square city of `side_km` (a multiple of five) into `folder`, or find it there; one tile in memory.

    The cities repeat: which of the eight lies where changes from row to row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / f"imagery-{side_km}.tif"
    if not image.exists():
        _write_imagery(image, side_km)
    if not vectors:
        return Ground(image, None, None)
    tables = {name: folder / f"{name}-{side_km}.gpkg" for name in ("buildings", "parcels")}
    for name, path in tables.items():
        if not path.exists():
            _write_table(path, name, side_km)
    return Ground(image, tables["buildings"], tables["parcels"])


def _tiles(side_km: int) -> Iterator[tuple[int, int, City]]:
    count = side_km // TILE_KM
    for row in range(count):
        for column in range(count):
            yield row, column, _city(SEEDS[(column + 3 * row) % len(SEEDS)])


@cache
def _city(seed: int) -> City:
    return generate(seed, (TILE_PIXELS, TILE_PIXELS))


@cache
def _numbers(seed: int) -> NDArray[np.uint16]:
    return digital_numbers(_city(seed).reflectance)


def _write_imagery(path: Path, side_km: int) -> None:
    side = side_km // TILE_KM * TILE_PIXELS
    first = _city(SEEDS[0]).transform
    half = path.with_suffix(".half.tif")
    with rasterio.open(
        half, "w", driver="GTiff", width=side, height=side, count=len(BANDS), dtype="uint16", crs=CRS, nodata=0,
        transform=Affine(10, 0, first.c, 0, -10, first.f), tiled=True, blockxsize=512, blockysize=512,
        compress="deflate", zlevel=1, predictor=2, bigtiff="if_safer", num_threads=2,
    ) as target:  # fmt: skip
        target.descriptions = tuple(BANDS)
        target.scales, target.offsets = (SCALE,) * len(BANDS), (OFFSET,) * len(BANDS)
        for row, column, city in _tiles(side_km):
            place = Window(column * TILE_PIXELS, row * TILE_PIXELS, TILE_PIXELS, TILE_PIXELS)
            target.write(_numbers(city.seed), window=place)
    half.rename(path)


def _write_table(path: Path, name: str, side_km: int) -> None:
    half = path.with_suffix(".half.gpkg")
    half.unlink(missing_ok=True)
    for row, column, city in _tiles(side_km):
        move = np.array([column, -row]) * TILE_KM * 1000.0
        table = city.buildings[["height", "geometry"]] if name == "buildings" else _blocks(city, row, column)
        moved = shapely.transform(table.geometry.to_numpy(), lambda xy, by=move: xy + by)
        frame = gpd.GeoDataFrame(table.drop(columns="geometry"), geometry=moved, crs=CRS)
        pyogrio.write_dataframe(frame, half, layer=name, driver="GPKG", append=half.exists())
    half.rename(path)


def _blocks(city: City, row: int, column: int) -> gpd.GeoDataFrame:
    """Return the blocks as parcels, each with a name of its own."""
    names = [f"{row:02d}-{column:02d}-{block}" for block in city.blocks["block_id"]]
    return gpd.GeoDataFrame({"parcel_id": names}, geometry=city.blocks.geometry.to_numpy(), crs=CRS)
