"""Cloud-optimised GeoTIFFs of one byte a pixel: palette, class names, statistics and overviews inside the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from jobs.area import Grid
from models.classes import NODATA, MapClass

BLOCK: Final = 512
Bytes = NDArray[np.uint8]
Reader = Callable[[slice, slice], Bytes]
Colour = tuple[int, int, int]

# The units raster: code -> colour; 1 pixel, 2 scene, 3 parcel.
UNIT_COLOURS: Final[dict[int, Colour]] = {1: (230, 171, 2), 2: (117, 112, 179), 3: (27, 158, 119)}


@dataclass(frozen=True, slots=True)
class CogBand:
    """One band of a file: what it is, for people, and its tags."""

    description: str
    tags: Mapping[str, str] = field(default_factory=dict)


def write_cog(
    path: Path,
    data: Bytes | Reader,
    grid: Grid,
    *,
    description: str,
    colours: Mapping[int, Colour] | None = None,
    nodata: int = NODATA,
    overview: Literal["mode", "average"] = "mode",
    tags: Mapping[str, str] | None = None,
    band_tags: Mapping[str, str] | None = None,
) -> None:
    """Write one uint8 band as a COG with 512-pixel blocks, deflate, and overviews that keep classes (mode) or average.

    `data` is (y, x), or a function of row and column slices, called for one block row after the other. Written twice,
    the bytes are the same: nothing of the clock or the machine goes into the file.
    """
    read = data if callable(data) else (lambda rows, columns: data[rows, columns])
    with _plain(path, grid, 1, nodata, overview) as target:
        for window in _windows(grid):
            rows, columns = window.toslices()
            target.write(np.asarray(read(rows, columns), np.uint8), 1, window=window)
        target.update_tags(**(tags or {}))
        _describe(target, 1, CogBand(description, band_tags or {}))
        if colours:
            target.write_colormap(1, _palette(colours, nodata))
            target.colorinterp = [ColorInterp.palette]


def write_bands(
    path: Path, data: Bytes, grid: Grid, *, bands: Sequence[CogBand], nodata: int, tags: Mapping[str, str]
) -> None:
    """Write several uint8 bands (band, y, x) as one COG, each as `bands` describes it.

    Overviews take the nearest pixel: means would be wrong for codes, and so the bands of a pixel stay of one place.
    """
    with _plain(path, grid, len(bands), nodata, "nearest") as target:
        for window in _windows(grid):
            rows, columns = window.toslices()
            target.write(data[:, rows, columns], window=window)
        target.update_tags(**tags)
        for index, band in enumerate(bands, start=1):
            _describe(target, index, band)


def class_colours(classes: tuple[MapClass, ...]) -> dict[int, Colour]:
    """Return the palette of a product, by raster code."""
    return {c.code: c.rgb for c in classes}


def class_tags(classes: tuple[MapClass, ...]) -> dict[str, str]:
    """Return class names as band tags; GDAL keeps category names in a file beside the GeoTIFF, and none is wanted."""
    return {"CLASS_0": "no data"} | {f"CLASS_{c.code}": f"{c.label}: {c.name}" for c in classes}


@contextmanager
def _plain(path: Path, grid: Grid, count: int, nodata: int, overview: str) -> Iterator[Any]:
    """Open a plain GeoTIFF for writing; when it is closed, `path` is the COG made from it."""
    plain = path.with_name(f".{path.name}.plain.tif")
    options = {
        "driver": "GTiff", "width": grid.width, "height": grid.height, "count": count, "dtype": "uint8",
        "nodata": nodata, "crs": grid.crs, "transform": grid.transform, "compress": "deflate", "zlevel": 1,
        "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "bigtiff": "if_safer",
    }  # fmt: skip
    try:
        with rasterio.open(plain, "w", **options) as target:
            yield target
        _copy(plain, path, overview)
    finally:
        plain.unlink(missing_ok=True)


def _describe(target: Any, index: int, band: CogBand) -> None:
    target.set_band_description(index, band.description)
    target.update_tags(index, **band.tags)


def _windows(grid: Grid) -> list[Window]:
    return [
        Window(column, row, min(BLOCK, grid.width - column), min(BLOCK, grid.height - row))
        for row in range(0, grid.height, BLOCK)
        for column in range(0, grid.width, BLOCK)
    ]


def _palette(colours: Mapping[int, Colour], nodata: int) -> dict[int, tuple[int, int, int, int]]:
    """Return all 256 entries; unused codes and nodata are transparent where a reader honours that."""
    table = dict.fromkeys(range(256), (0, 0, 0, 0))
    table |= {code: (*rgb, 255) for code, rgb in colours.items()}
    return table | {nodata: (255, 255, 255, 0)}


def _copy(source: Path, target: Path, overview: str) -> None:
    options: dict[str, Any] = {
        "BLOCKSIZE": BLOCK, "COMPRESS": "DEFLATE", "LEVEL": 9, "OVERVIEWS": "IGNORE_EXISTING", "BIGTIFF": "IF_SAFER",
        "OVERVIEW_RESAMPLING": overview.upper(), "STATISTICS": "YES", "NUM_THREADS": 1,
    }  # fmt: skip
    with rasterio.Env(GDAL_PAM_ENABLED="NO", GDAL_NUM_THREADS="1"):
        rasterio.shutil.copy(source, target, driver="COG", **options)
