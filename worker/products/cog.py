"""Cloud-optimised GeoTIFFs of one byte a pixel: palette, class names, statistics and overviews inside the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.windows import Window

from jobs.area import Grid
from models.classes import NODATA, MapClass

BLOCK: Final = 512
Bytes = NDArray[np.uint8]
Colour = tuple[int, int, int]

# The units raster, by code.
UNIT_COLOURS: Final[dict[int, Colour]] = {1: (230, 171, 2), 2: (117, 112, 179), 3: (27, 158, 119), 4: (102, 166, 30)}


@dataclass(frozen=True, slots=True)
class CogBand:
    """One band of a file: what it is, for people, and its tags."""

    description: str
    tags: Mapping[str, str] = field(default_factory=dict)


class Canvas:
    """A raster that is painted window by window, on disk and not in memory, and published as a COG.

    `with Canvas(path, grid, nodata=0) as canvas: canvas.write(rows, columns, values); canvas.publish(target, ...)`.
    Windows may come in any order; what none covers is `nodata`. Paint whole multiples of `tile` pixels where you can:
    a window that cuts tiles makes GDAL read, merge and compress them again.
    """

    def __init__(
        self,
        path: Path,
        grid: Grid,
        *,
        count: int = 1,
        nodata: int = NODATA,
        tile: int = BLOCK,
        colours: Mapping[int, Colour] | None = None,
    ) -> None:
        """Prepare a raster of `count` bands of uint8; `tile` is a multiple of 16, `colours` the palette of one band."""
        self._path = path
        self._palette = None if colours is None else _palette(colours, nodata)
        self._options = {
            "driver": "GTiff", "width": grid.width, "height": grid.height, "count": count, "dtype": "uint8",
            "nodata": nodata, "crs": grid.crs, "transform": grid.transform, "compress": "deflate", "zlevel": 1,
            "tiled": True, "blockxsize": tile, "blockysize": tile, "bigtiff": "if_safer", "sparse_ok": True,
        }  # fmt: skip
        self._dataset: Any = None

    def __enter__(self) -> Self:
        self._dataset = rasterio.open(self._path, "w+", **self._options)
        if self._palette:
            self._dataset.write_colormap(1, self._palette)
        return self

    def __exit__(self, *_: object) -> None:
        self._dataset.close()
        self._path.unlink(missing_ok=True)

    def write(self, rows: slice, columns: slice, values: Bytes) -> None:
        """Paint a window, (y, x) or (band, y, x)."""
        bands = values if values.ndim == 3 else values[None]  # noqa: PLR2004 - band, y, x
        self._dataset.write(np.asarray(bands, np.uint8), window=Window.from_slices(rows, columns))

    def read(self, rows: slice, columns: slice) -> Bytes:
        """Return what was painted in a window of the first band, (y, x)."""
        values: Bytes = self._dataset.read(1, window=Window.from_slices(rows, columns))
        return values

    def publish(
        self,
        target: Path,
        bands: Sequence[CogBand],
        *,
        overview: Literal["mode", "average", "nearest"] = "mode",
        predictor: Literal["NO", "YES"] = "NO",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Write the finished raster as a COG with 512-pixel blocks, deflate, statistics and overviews.

        `bands` describe the bands in order. Overviews keep classes (mode), average, or take the nearest pixel, which
        keeps the bands of a pixel of one place. With `predictor` the differences of neighbours are compressed: a sixth
        less of a photograph. Nothing of the clock or the machine goes into the file: written twice, the bytes are the
        same. Nothing can be painted afterwards.
        """
        self._dataset.update_tags(**(tags or {}))
        for index, band in enumerate(bands, start=1):
            self._dataset.set_band_description(index, band.description)
            self._dataset.update_tags(index, **band.tags)
        self._dataset.close()
        _copy(self._path, target, overview, predictor)


def class_colours(classes: tuple[MapClass, ...]) -> dict[int, Colour]:
    """Return the palette of a product, by raster code."""
    return {c.code: c.rgb for c in classes}


def class_tags(classes: tuple[MapClass, ...]) -> dict[str, str]:
    """Return class names as band tags; GDAL keeps category names in a file beside the GeoTIFF, and none is wanted."""
    return {"CLASS_0": "no data"} | {f"CLASS_{c.code}": f"{c.label}: {c.name}" for c in classes}


def _palette(colours: Mapping[int, Colour], nodata: int) -> dict[int, tuple[int, int, int, int]]:
    """Return all 256 entries; unused codes and nodata are transparent where a reader honours that."""
    table = dict.fromkeys(range(256), (0, 0, 0, 0))
    table |= {code: (*rgb, 255) for code, rgb in colours.items()}
    return table | {nodata: (255, 255, 255, 0)}


def _copy(source: Path, target: Path, overview: str, predictor: str) -> None:
    options: dict[str, Any] = {
        "BLOCKSIZE": BLOCK, "COMPRESS": "DEFLATE", "LEVEL": 6, "OVERVIEWS": "IGNORE_EXISTING", "BIGTIFF": "IF_SAFER",
        "OVERVIEW_RESAMPLING": overview.upper(), "STATISTICS": "YES", "NUM_THREADS": 1, "PREDICTOR": predictor,
    }  # fmt: skip
    with rasterio.Env(GDAL_PAM_ENABLED="NO", GDAL_NUM_THREADS="1"):
        rasterio.shutil.copy(source, target, driver="COG", **options)
