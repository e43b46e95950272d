"""Reads a window of a file onto the job's grid so that a pixel's value never depends on how windows are cut.

GDAL's warper approximates coordinates per window: of a noisy image taken to the next UTM zone, 93 to 99 % of the
pixels differ between two cuts (rasterio's reproject, which odc-stac calls, and WarpedVRT, at their defaults). Here
every pixel of the grid gets its own source coordinate from the global transform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from jobs.area import Grid
from jobs.inspection.facts import crs_name

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Method = Literal["nearest", "smooth"]

_MAX_SOURCE_VALUES: Final = 32_000_000
_COARSER: Final = 1.5
_MOST_SAMPLES: Final = 8
# Positions are rounded to a millionth of a source pixel, so that aligned grids meet exactly.
_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True)
class Lattice:
    """A window of the job's grid, in whole pixels; it may reach over the grid's edges."""

    grid: Grid
    row: int
    column: int
    height: int
    width: int

    def part(self, row: int, column: int, height: int, width: int) -> Lattice:
        """Return a window of this window."""
        return Lattice(self.grid, self.row + row, self.column + column, height, width)

    def at(self, crs: str, across: float, down: float) -> tuple[Floats, Floats]:
        """Return x and y in `crs` at a fraction of every pixel (0.5, 0.5 is its centre), broadcastable to (y, x)."""
        if same_crs(self.grid.crs, crs):
            return _own(self, across, down)
        if across == down == 0.5:  # noqa: PLR2004 - the centre
            return _projected(self, crs, centres=True)
        x, y = _projected(self, crs, centres=False)
        return _between(x, across, down), _between(y, across, down)


@lru_cache(maxsize=256)
def same_crs(one: str, other: str) -> bool:
    """Whether two CRS, as authority code or WKT, are the same."""
    return one == other or bool(CRS.from_user_input(one) == CRS.from_user_input(other))


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def _own(lattice: Lattice, across: float, down: float) -> tuple[Floats, Floats]:
    grid = lattice.grid
    columns = np.arange(lattice.column, lattice.column + lattice.width) + across
    rows = np.arange(lattice.row, lattice.row + lattice.height) + down
    x: Floats = np.asarray(grid.left + columns * grid.resolution, np.float64)
    y: Floats = np.asarray(grid.top - rows * grid.resolution, np.float64)
    return x[None, :], y[:, None]


@lru_cache(maxsize=8)
def _projected(lattice: Lattice, crs: str, *, centres: bool) -> tuple[Floats, Floats]:
    """Return exact coordinates of pixel centres, or of pixel corners (one more a side), as (y, x) arrays."""
    more = 0 if centres else 1
    wider = Lattice(lattice.grid, lattice.row, lattice.column, lattice.height + more, lattice.width + more)
    x, y = _own(wider, 0.5 if centres else 0.0, 0.5 if centres else 0.0)
    grid_x, grid_y = np.broadcast_arrays(x, y)
    moved = _transformer(lattice.grid.crs, crs).transform(grid_x, grid_y)
    return np.asarray(moved[0], np.float64), np.asarray(moved[1], np.float64)


def _between(corners: Floats, across: float, down: float) -> Floats:
    upper = corners[:-1, :-1] * (1 - across) + corners[:-1, 1:] * across
    lower = corners[1:, :-1] * (1 - across) + corners[1:, 1:] * across
    mixed: Floats = upper * (1 - down) + lower * down
    return mixed


@dataclass(frozen=True, slots=True)
class Source:
    """An open file, the bands wanted of it (from 1), and the number that means no data whatever its header says."""

    dataset: DatasetReader
    indexes: tuple[int, ...]
    nodata: float | None

    @property
    def crs(self) -> str:
        """The file's CRS as authority code or WKT."""
        return _crs_of(self.dataset.crs.to_wkt())


@lru_cache(maxsize=64)
def _crs_of(wkt: str) -> str:
    return crs_name(CRS.from_wkt(wkt))


def sample(source: Source, lattice: Lattice, method: Method) -> tuple[Floats, Mask]:
    """Return values (band, y, x) in the file's own numbers and where each is valid (band, y, x).

    `nearest` takes the pixel under each centre. `smooth` interpolates bilinearly between the four nearest valid
    pixels where the file is as coarse as the grid or coarser, and averages evenly spaced points inside each pixel
    where the file is finer (at most 8 x 8 of them: the exact box mean for whole ratios up to 8).
    A value is valid where the pixel under the centre is (`nearest`, bilinear), or half of the points are (average).
    """
    dataset, crs = source.dataset, source.crs
    count = 1 if method == "nearest" else _samples(dataset, crs, lattice.grid)
    if count > 1:
        steps = [(k + 0.5) / count for k in range(count)]
        points = [_position(dataset, *lattice.at(crs, across, down)) for down in steps for across in steps]
    else:
        points = [_position(dataset, *lattice.at(crs, 0.5, 0.5))]
    box = _source_box(dataset, points)
    if box is None:
        shape = (len(source.indexes), lattice.height, lattice.width)
        return np.zeros(shape), np.zeros(shape, np.bool_)
    if box.width * box.height * len(source.indexes) > _MAX_SOURCE_VALUES and max(lattice.height, lattice.width) > 1:
        return _halves(source, lattice, method)
    pixels = _Pixels.read(source, box)
    if count > 1:
        return pixels.average(points)
    return pixels.nearest(*points[0]) if method == "nearest" else pixels.bilinear(*points[0])


def _halves(source: Source, lattice: Lattice, method: Method) -> tuple[Floats, Mask]:
    """Sample the two halves of a window whose source would not fit in memory."""
    height, width = lattice.height, lattice.width
    if height >= width:
        cut, axis = height // 2, 1
        parts = lattice.part(0, 0, cut, width), lattice.part(cut, 0, height - cut, width)
    else:
        cut, axis = width // 2, 2
        parts = lattice.part(0, 0, height, cut), lattice.part(0, cut, height, width - cut)
    sampled = [sample(source, part, method) for part in parts]
    return np.concatenate([s[0] for s in sampled], axis), np.concatenate([s[1] for s in sampled], axis)


def _samples(dataset: DatasetReader, crs: str, grid: Grid) -> int:
    """Return how many points a side stand for one pixel of the grid: 1 unless the file is clearly finer."""
    centre = Lattice(grid, grid.height // 2, grid.width // 2, 1, 1)
    (x, y), (x_next, y_next) = centre.at(crs, 0.0, 0.0), centre.at(crs, 1.0, 1.0)
    across, down = abs(float((x_next - x).flat[0])) / dataset.res[0], abs(float((y_next - y).flat[0])) / dataset.res[1]
    factor = math.sqrt(across * down)
    return min(_MOST_SAMPLES, round(factor + 0.499)) if math.isfinite(factor) and factor >= _COARSER else 1


def _position(dataset: DatasetReader, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return (column, row) in pixels of the file, whole at pixel centres; far outside where undefined."""
    transform = dataset.transform
    column = np.round((x - transform.c) / transform.a - 0.5, _DECIMALS)
    row = np.round((y - transform.f) / transform.e - 0.5, _DECIMALS)
    return np.where(np.isfinite(column), column, -1e6), np.where(np.isfinite(row), row, -1e6)


def _source_box(dataset: DatasetReader, points: list[tuple[Floats, Floats]]) -> Window | None:
    """Return the file's window that the points fall in, one pixel wider, or None where they miss the file."""
    left = max(0, math.floor(min(float(c.min()) for c, _ in points)) - 1)
    top = max(0, math.floor(min(float(r.min()) for _, r in points)) - 1)
    right = min(dataset.width, math.floor(max(float(c.max()) for c, _ in points)) + 3)
    bottom = min(dataset.height, math.floor(max(float(r.max()) for _, r in points)) + 3)
    return Window(left, top, right - left, bottom - top) if right > left and bottom > top else None


@dataclass(frozen=True, slots=True)
class _Pixels:
    """Source pixels and their validity, (band, y, x), and the position of the first in the file."""

    values: NDArray[Any]
    valid: Mask
    left: int
    top: int

    @classmethod
    def read(cls, source: Source, box: Window) -> _Pixels:
        dataset, indexes = source.dataset, list(source.indexes)
        values = dataset.read(indexes, window=box)
        valid = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, np.bool_)
        # GDAL takes an alpha band for a mask only where there are two or four bands.
        alpha = [i for i, colour in enumerate(dataset.colorinterp, 1) if colour is ColorInterp.alpha]
        if alpha:
            valid &= dataset.read(alpha[0], window=box) > 0
        if source.nodata is not None:
            valid &= values != source.nodata
        elif any(MaskFlags.all_valid not in dataset.mask_flag_enums[i - 1] for i in indexes):
            valid &= dataset.read_masks(indexes, window=box) > 0
        elif values.dtype == np.uint16:
            # Sentinel-2 writes 0 for no data in every band and often does not say so.
            valid &= (values != 0).any(axis=0)
        return cls(np.where(valid, values, 0), valid, int(box.col_off), int(box.row_off))

    def pick(self, column: NDArray[np.int64], row: NDArray[np.int64]) -> tuple[NDArray[Any], Mask]:
        """Return the pixels at whole positions in the file; outside is not valid."""
        across, down = column - self.left, row - self.top
        height, width = self.valid.shape[1:]
        inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
        down, across = np.clip(down, 0, height - 1), np.clip(across, 0, width - 1)
        return self.values[:, down, across], self.valid[:, down, across] & inside

    def nearest(self, column: Floats, row: Floats) -> tuple[Floats, Mask]:
        values, valid = self.pick(_whole(column + 0.5), _whole(row + 0.5))
        return np.where(valid, values, 0).astype(np.float64), valid

    def bilinear(self, column: Floats, row: Floats) -> tuple[Floats, Mask]:
        left, top = _whole(column), _whole(row)
        across, down = column - left, row - top
        if not across.any() and not down.any():
            return self.nearest(column, row)
        total: Any = 0.0
        weight: Any = 0.0
        for step_down, share_down in ((0, 1 - down), (1, down)):
            for step_across, share_across in ((0, 1 - across), (1, across)):
                values, valid = self.pick(left + step_across, top + step_down)
                share = valid * (share_down * share_across)
                total, weight = total + values * share, weight + share
        _, centre = self.pick(_whole(column + 0.5), _whole(row + 0.5))
        return np.where(centre, total / np.where(weight > 0, weight, 1.0), 0.0), centre

    def average(self, points: list[tuple[Floats, Floats]]) -> tuple[Floats, Mask]:
        total: Any = 0.0
        number: Any = 0
        for column, row in points:
            values, valid = self.pick(_whole(column + 0.5), _whole(row + 0.5))
            total, number = total + np.where(valid, values, 0).astype(np.float64), number + valid
        enough = 2 * number >= len(points)
        return np.where(enough, total / np.maximum(number, 1), 0.0), enough


def _whole(position: Floats) -> NDArray[np.int64]:
    return np.floor(position).astype(np.int64)
