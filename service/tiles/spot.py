"""A place on a finished map, and what the rasters beside the map hold there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rasterio.io import DatasetReader
from rasterio.windows import Window
from shapely.geometry import Point

from jobs.area import project
from models.classes import NODATA
from service.tiles.reading import opened

_SAME: Final = 1e-5  # degrees, about a metre


@dataclass(frozen=True, slots=True)
class Spot:
    """A place: `longitude` in degrees, `x` and `y` in the map's CRS, and the class code the map has there.

    `resolution` is the side of the map's pixels in metres; the code is NODATA where nothing is mapped.
    """

    longitude: float
    x: float
    y: float
    crs: str
    resolution: float
    code: int


def spot(path: Path, longitude: float, latitude: float) -> Spot | None:
    """Return a place on a map, None where the map's CRS has no such place; raises MapUnreadable."""
    with opened(path) as dataset:
        crs = dataset.crs.to_wkt()
        place = project(Point(longitude, latitude), crs)
        if not (math.isfinite(place.x) and math.isfinite(place.y) and _leads_back(place, crs, longitude, latitude)):
            return None
        (code,) = _at(dataset, place.x, place.y) or (NODATA,)
        return Spot(longitude, place.x, place.y, crs, dataset.res[0], code)


def values(path: Path, place: Spot) -> dict[str, int]:
    """Return what each band of a raster holds at a place, by its tag NAME, else its number; empty beside the raster.

    Raises MapUnreadable.
    """
    with opened(path) as dataset:
        names = [dataset.tags(band).get("NAME", str(band)) for band in dataset.indexes]
        return dict(zip(names, _at(dataset, place.x, place.y), strict=False))


def _leads_back(place: Point, crs: str, longitude: float, latitude: float) -> bool:
    """Say whether a place is the one that was asked for: some projections lay the far side of the Earth on this one."""
    back = project(place, "EPSG:4326", source=crs)
    east = (back.x - longitude + 180) % 360 - 180
    return bool(abs(east) < _SAME and abs(back.y - latitude) < _SAME)


def _at(dataset: DatasetReader, x: float, y: float) -> tuple[int, ...]:
    """Return the values of all bands of the pixel that holds a place, none outside the raster."""
    column, row = ~dataset.transform @ (x, y)
    if not (0 <= column < dataset.width and 0 <= row < dataset.height):
        return ()
    return tuple(int(v) for v in dataset.read(window=Window(int(column), int(row), 1, 1)).ravel())
