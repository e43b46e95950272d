"""The rasters of a project's tiles: images and labels as compressed GeoTIFFs that any GIS opens."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from jobs.annotation.project import TileRecord
from models.classes import LAND_COVER

_PROFILE: Final = {
    "driver": "GTiff", "compress": "zstd", "zstd_level": 3, "predictor": 2, "tiled": True, "interleave": "pixel",
}  # fmt: skip


def encode_raster(values: NDArray[Any], tile: TileRecord) -> bytes:
    """Return a tile's image (H, W, 3) uint8 or labels (H, W) int32 as a GeoTIFF.

    A tile without a place on the Earth lies with its lower left corner at the origin, its pixels of side one.
    """
    bands = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)  # noqa: PLR2004 - rows and columns
    return _encoded(bands, tile, {})


def _encoded(
    bands: NDArray[Any], tile: TileRecord, more: dict[str, Any], colours: dict[int, tuple[int, ...]] | None = None
) -> bytes:
    place = Affine(*tile.transform) if tile.transform else Affine(1, 0, 0, 0, -1, tile.height)
    shown = "palette" if colours else "rgb" if len(bands) > 1 else "minisblack"
    profile = {**_PROFILE, **more, "dtype": bands.dtype.name, "crs": tile.crs, "transform": place, "photometric": shown}
    with MemoryFile() as memory:
        with memory.open(count=len(bands), height=tile.height, width=tile.width, **profile) as target:
            target.write(bands)
            if colours:
                target.write_colormap(1, colours)
        return bytes(memory.getbuffer())


def encode_classes(codes: NDArray[np.uint8], tile: TileRecord) -> bytes:
    """Return a tile's classes (H, W) uint8 as a GeoTIFF with their colours inside, 0 = unlabelled."""
    return _encoded(codes[None], tile, {"nodata": 0}, {told.code: (*told.rgb, 255) for told in LAND_COVER})


def decode_raster(data: bytes) -> NDArray[Any]:
    """Return an image (H, W, 3) uint8 or labels (H, W) int32 from what `encode_raster` made."""
    with MemoryFile(data) as memory, memory.open() as source:
        bands = source.read()
    return bands[0] if len(bands) == 1 else np.ascontiguousarray(np.moveaxis(bands, 0, -1))
