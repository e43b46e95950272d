"""Sums of class probabilities over polygons, each pixel weighted by the exact share of it a polygon covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import shapely
from numba import njit
from numpy.typing import NDArray

from jobs.area import Grid

# Probabilities come as uint8: 255 is 1.
FULL: Final = 255.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums per polygon in pixels: covered area (n,), covered area with imagery (n,), probability (n, class)."""

    area: Floats
    valid_area: Floats
    probability: Floats


def coverage_sums(
    polygons: NDArray[np.object_], probabilities: NDArray[np.uint8], valid: NDArray[np.bool_], grid: Grid
) -> Sums:
    """Sum over one window of the raster, `grid`; windows that do not overlap add up to the whole.

    `polygons` (n,) are valid Polygons or MultiPolygons in the grid's CRS, `probabilities` (class, y, x) with 255 for 1,
    `valid` (y, x). Parts outside the window count nothing. Raises ValueError where shapes disagree.

    Each edge is walked once; it leaves its signed cover and area in the cells it passes, and a running sum along the
    row turns both into coverage, as rasterisers of font outlines do (the method of FreeType's smooth rasteriser).
    """
    if probabilities.shape[1:] != grid.shape or valid.shape != grid.shape:
        msg = f"probabilities {probabilities.shape} and valid {valid.shape} do not fit the grid {grid.shape}"
        raise ValueError(msg)
    sums = Sums(np.zeros(len(polygons)), np.zeros(len(polygons)), np.zeros((len(polygons), len(probabilities))))
    near = _near(polygons, grid)
    if len(near):
        rings = _rings(polygons[near], grid)
        stack = np.ascontiguousarray(probabilities)
        _sum_polygons(*rings, stack, np.ascontiguousarray(valid), near, sums.area, sums.valid_area, sums.probability)
        sums.probability[near] /= FULL
    return sums


def sums_table(sums: Sums) -> pa.Table:
    """Return the sums of the polygons that were touched, as a table: row, area, valid_area, p_1, p_2, ..."""
    touched = sums.area > 0
    columns: dict[str, Any] = {"row": np.flatnonzero(touched).astype(np.int64)}
    columns |= {"area": sums.area[touched], "valid_area": sums.valid_area[touched]}
    columns |= {f"p_{k + 1}": values for k, values in enumerate(sums.probability[touched].T)}
    return pa.table(columns)


def merge_sums(tables: Sequence[pa.Table], n: int) -> Sums:
    """Add up the tables of all windows for `n` parcels; the order of the tables changes no bit of the result.

    Raises ValueError without tables or for a row outside 0..n-1.
    """
    if not tables:
        msg = "there are no sums to merge: at least one block must have been mapped"
        raise ValueError(msg)
    whole = pa.concat_tables(tables)
    rows = whole.column("row").to_numpy()
    if len(rows) and (rows.min() < 0 or rows.max() >= n):
        msg = f"the sums name rows {rows.min()}..{rows.max()}, the parcel table has {n}"
        raise ValueError(msg)
    values = np.column_stack([whole.column(name).to_numpy() for name in whole.column_names[1:]])
    order = np.lexsort((*values.T, rows))
    total = np.zeros((n, values.shape[1]))
    np.add.at(total, rows[order], values[order])
    return Sums(total[:, 0].copy(), total[:, 1].copy(), total[:, 2:].copy())


def _near(polygons: NDArray[np.object_], grid: Grid) -> NDArray[np.intp]:
    west, south, east, north = shapely.bounds(polygons).T
    left, bottom, right, top = grid.bounds
    return np.flatnonzero((west < right) & (east > left) & (south < top) & (north > bottom))


def _rings(polygons: NDArray[np.object_], grid: Grid) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Return vertices (v, 2) in pixels from the upper-left corner, ring starts, and each polygon's first ring."""
    parts, of_polygon = shapely.get_parts(shapely.orient_polygons(polygons), return_index=True)
    rings, of_part = shapely.get_rings(parts, return_index=True)
    corners, of_ring = shapely.get_coordinates(rings, return_index=True)
    pixels = np.empty_like(corners)
    pixels[:, 0] = (corners[:, 0] - grid.left) / grid.resolution
    pixels[:, 1] = (grid.top - corners[:, 1]) / grid.resolution
    starts = np.searchsorted(of_ring, np.arange(len(rings) + 1))
    firsts = np.searchsorted(of_polygon[of_part], np.arange(len(polygons) + 1))
    return pixels, starts.astype(np.int64), firsts.astype(np.int64)


@njit(cache=True, nogil=True)
def _sum_polygons(pixels, starts, firsts, stack, valid, rows, area, valid_area, total):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917 - compiled
    height, width = valid.shape
    for polygon in range(len(firsts) - 1):
        first, last = firsts[polygon], firsts[polygon + 1]
        points = pixels[starts[first] : starts[last]]
        left = max(0, int(np.floor(points[:, 0].min())))
        top = max(0, int(np.floor(points[:, 1].min())))
        right = min(width, int(np.ceil(points[:, 0].max())))
        bottom = min(height, int(np.ceil(points[:, 1].max())))
        if left >= right or top >= bottom:
            continue
        cover = np.zeros((bottom - top, right - left + 1))
        part = np.zeros((bottom - top, right - left))
        for ring in range(first, last):
            for k in range(starts[ring], starts[ring + 1] - 1):
                x0, y0, x1, y1 = (
                    pixels[k, 0] - left,
                    pixels[k, 1] - top,
                    pixels[k + 1, 0] - left,
                    pixels[k + 1, 1] - top,
                )
                _add_edge(x0, y0, x1, y1, cover, part)
        row = rows[polygon]
        _add_cells(cover, part, stack, valid, left, top, row, area, valid_area, total)


@njit(cache=True, nogil=True)
def _add_edge(x0, y0, x1, y1, cover, part):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917 - compiled
    """Cut one edge into the rows it passes; downward edges count positive, upward ones negative."""
    height = part.shape[0]
    if y0 == y1 or max(y0, y1) <= 0 or min(y0, y1) >= height:
        return
    sign = 1.0
    if y0 > y1:
        x0, y0, x1, y1, sign = x1, y1, x0, y0, -1.0
    low, high = min(x0, x1), max(x0, x1)
    slope = (x1 - x0) / (y1 - y0)
    start, stop = max(y0, 0.0), min(y1, float(height))
    y = start
    row = int(y)
    while y < stop and row < height:
        end = min(stop, row + 1.0)
        # Clamped: on edges that are nearly level the slope is huge and its product loses its digits.
        a = min(max(x0 + (y - y0) * slope, low), high)
        b = min(max(x0 + (end - y0) * slope, low), high)
        _add_span(min(a, b), max(a, b), sign * (end - y), cover[row], part[row])
        y = end
        row += 1


@njit(cache=True, nogil=True)
def _add_span(a, b, drop, cover, part):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Spread `drop` (signed height within one row) over columns a..b; cover[0] is all that lies left of the window."""
    width = len(part)
    if a >= width:
        return
    if b <= 0:
        cover[0] += drop
        return
    length = b - a
    if a < 0:
        cover[0] += drop * (-a / length)
    start, stop = max(a, 0.0), min(b, float(width))
    column = min(int(start), width - 1)
    if stop <= column + 1.0:
        share = drop if length == 0 else drop * ((stop - start) / length)
        _add_cell(column, 0.5 * (start + stop), share, cover, part)
        return
    while start < stop:
        end = min(stop, column + 1.0)
        _add_cell(column, 0.5 * (start + end), drop * ((end - start) / length), cover, part)
        start = end
        column += 1


@njit(cache=True, nogil=True)
def _add_cell(column, middle, share, cover, part):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    part[column] += share * (column + 1.0 - middle)
    cover[column + 1] += share


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _add_cells(cover, part, stack, valid, left, top, row, area, valid_area, total):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917 - compiled
    """Turn cover and area into coverage (in `part`), row by row, and add coverage times value."""
    height, width = part.shape
    for y in range(height):
        running = 0.0
        for x in range(width):
            running += cover[y, x]
            share = min(max(running + part[y, x], 0.0), 1.0)
            if share < 1e-12:  # noqa: PLR2004 - rounding, not coverage
                share = 0.0
            area[row] += share
            if valid[top + y, left + x]:
                valid_area[row] += share
            else:
                share = 0.0
            part[y, x] = share
        for k in range(stack.shape[0]):
            value = 0.0
            for x in range(width):
                value += part[y, x] * stack[k, top + y, left + x]
            total[row, k] += value
