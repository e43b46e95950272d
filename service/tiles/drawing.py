"""Draws tiles of a map or its imagery in Web Mercator, and reads off where it lies."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import morecantile
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import DatasetReader
from rasterio.transform import from_bounds
from rasterio.warp import transform, transform_bounds

from models.classes import NODATA
from service.importing import ONE_AT_A_TIME
from service.tiles.reading import opened

Bytes = NDArray[np.uint8]
Colours = Mapping[int, tuple[int, ...]]

MAX_ZOOM: Final = 24
SIDE: Final = 256
_GRID: Final = morecantile.tms.get("WebMercatorQuad")
_WHOLE_WORLD: Final = 2 * math.pi * 6378137.0 / SIDE  # metres a pixel of the one tile of zoom 0, at the equator
_SHARPER: Final = 2  # zooms drawn beyond the map's own: enlarged by a client, edges of classes would blur
_COLOURS: Final = 3  # bands of a picture
# Five colours of viridis (van der Walt & Smith 2015), between which percents are interpolated.
_RAMP: Final = ((1, "#440154"), (25, "#3b528b"), (50, "#21918c"), (75, "#5ec962"), (100, "#fde725"))


@dataclass(frozen=True, slots=True)
class Place:
    """A tile of the XYZ scheme: zoom, column from the west, row from the north."""

    z: int
    x: int
    y: int

    @property
    def on_earth(self) -> bool:
        """Whether the zoom has such a tile."""
        return max(self.x, self.y) >> self.z == 0


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a map lies: west, south, east, north in degrees, and the zooms it is worth looking at."""

    bounds: tuple[float, float, float, float]
    minzoom: int
    maxzoom: int

    @property
    def centre(self) -> tuple[float, float]:
        """Longitude and latitude of the middle."""
        west, south, east, north = self.bounds
        return ((west + east) / 2, (south + north) / 2)


def draw(path: Path, place: Place, side: int, colours: Colours | None = None) -> bytes:
    """Return a tile as a PNG of `side` pixels; what the file does not cover is transparent. Raises MapUnreadable.

    `colours` are those of the codes, RGBA of 0-255; None: as the file has them. Every pixel has the class of the map's
    pixel at its centre: classes have no mean. A file of three bands is a picture, whose pixels are interpolated.
    """
    with opened(path) as dataset:
        if dataset.count == _COLOURS:
            seen = _tile(dataset, place, side)
            return _shown(seen) if seen.any() else _empty(side)
        codes = _tile(dataset, place, side)[0]
        return _png(codes, colours or _colours(dataset)) if codes.any() else _empty(side)


def extent(path: Path) -> Extent:
    """Return where a map lies. Bounds never wrap around the antimeridian: they end there. Raises MapUnreadable."""
    with opened(path) as dataset:
        west, south, east, north = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
        middle = dataset.xy(dataset.height // 2, dataset.width // 2)
        below = dataset.xy(dataset.height // 2 + 1, dataset.width // 2)
        points = [[p[0] for p in (middle, below)], [p[1] for p in (middle, below)]]
        if west > east:
            longitude = transform(dataset.crs, "EPSG:4326", *points)[0][0]
            west, east = (west, 180.0) if longitude > 0 else (-180.0, east)
        _, heights = transform(dataset.crs, _GRID.rasterio_crs, *points)
        own = math.ceil(math.log2(_WHOLE_WORLD / abs(heights[0] - heights[1])))
        smallest = own - math.ceil(math.log2(max(dataset.width, dataset.height, SIDE) / SIDE))
        bounds = (round(west, 6), round(south, 6), round(east, 6), round(north, 6))
        return Extent(bounds, max(0, min(smallest, MAX_ZOOM)), max(0, min(own + _SHARPER, MAX_ZOOM)))


@cache
def ramp() -> dict[int, tuple[int, ...]]:
    """Return the colour of every percent from 1 to 100."""
    stops = [percent for percent, _ in _RAMP]
    parts = [[int(colour[at : at + 2], 16) for _, colour in _RAMP] for at in (1, 3, 5)]
    return {
        percent: (*(round(float(np.interp(percent, stops, part))) for part in parts), 255) for percent in range(1, 101)
    }


def _tile(dataset: DatasetReader, place: Place, side: int) -> Bytes:
    """Return a tile (band, y, x), warped in one step onto the tile's own grid; 0 where there is no data."""
    # xarray and pandas come with it, a third of the service's memory: only where tiles are asked for.
    with ONE_AT_A_TIME:
        from rio_tiler.errors import TileOutsideBounds  # noqa: PLC0415
        from rio_tiler.io import Reader  # noqa: PLC0415

    bounds = _GRID.xy_bounds(morecantile.Tile(place.x, place.y, place.z))
    grid: dict[str, Any] = {"transform": from_bounds(*bounds, side, side), "width": side, "height": side}
    with Reader(None, dataset=dataset) as reader:
        try:
            image = reader.tile(
                place.x, place.y, place.z, tilesize=side, indexes=dataset.indexes,
                vrt_options=grid, reproject_method="bilinear" if dataset.count == _COLOURS else "nearest",
            )  # fmt: skip
        except TileOutsideBounds:
            return np.zeros((dataset.count, side, side), np.uint8)
    return np.asarray(image.array.filled(NODATA), np.uint8)


def _colours(dataset: DatasetReader) -> Colours:
    """Return the palette inside the file; the confidence has none and gets a ramp."""
    try:
        return dict(dataset.colormap(1))
    except ValueError:
        return ramp()


def _png(codes: Bytes, colours: Colours) -> bytes:
    table = np.zeros((int(codes.max()) + 1, 4), np.uint8)
    for code in range(len(table)):
        table[code] = colours.get(code, 0) if code != NODATA else 0
    image = Image.fromarray(codes, mode="P")
    image.putpalette(table[:, :3].tobytes())
    data = io.BytesIO()
    image.save(data, "PNG", transparency=table[:, 3].tobytes(), compress_level=4)
    return data.getvalue()


def _shown(colours: Bytes) -> bytes:
    """Return red, green and blue (3, y, x) as a PNG, transparent where all are 0."""
    alpha = np.where(colours.any(axis=0), np.uint8(255), np.uint8(0))
    data = io.BytesIO()
    Image.fromarray(np.dstack((*colours, alpha))).save(data, "PNG", compress_level=4)
    return data.getvalue()


@cache
def _empty(side: int) -> bytes:
    return _png(np.zeros((side, side), np.uint8), {})
