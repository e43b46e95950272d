"""Decides every pixel of a block of the map by the unit that its parcel, or its ground, goes by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from jobs.area import Grid
from models.cards import UnitThresholds
from models.classes import NODATA, MapClass
from models.morphology import burn
from worker.parcels.units.judging import water_code
from worker.parcels.units.verdicts import (
    ABSTAIN,
    BLOCK,
    PARCEL,
    PIXEL,
    SCENE,
    Bytes,
    Decided,
    Floats,
    Mode,
    Rows,
    Verdicts,
)

_NO_LIMITS: Final = UnitThresholds()
_FINE: Final = 5


def decide_block(
    grid: Grid,
    probabilities: Bytes,
    scenes: Bytes,
    *,
    mode: Mode,
    classes: tuple[MapClass, ...],
    scene: int = 10,
    parcels: gpd.GeoDataFrame | None = None,
    verdicts: Verdicts | None = None,
    thresholds: UnitThresholds = _NO_LIMITS,
    near: Rows | None = None,
) -> Decided:
    """Decide every pixel of one block, `grid`.

    `probabilities` (class, y, x) and `scenes` (class, cell y, cell x; cells of `scene` pixels a side from the
    upper-left corner) are uint8, all 0 without imagery, and already filtered where the card filters. `near` are the
    rows of the parcels that may meet the block and `thresholds.street_reach` around it, see `parcels_near`; None: all.

    A parcel or block of parcels that decides also fills its pixels without imagery; elsewhere they stay nodata. Without
    parcels, `auto` and `parcel` mean scene cells: Local Climate Zones are a notion of 100 m and more. Beside parcels,
    `auto` lets the pixels of a scene cell under `thresholds.scene_top` decide: a border crosses it. Parcels hold the
    pixels whose centre they hold, the later row where they overlap, and ground of no parcel up to
    `thresholds.street_reach` metres away, the nearest first, where there is imagery and it shows no water.
    """
    by_pixel, cells = _top(probabilities, classes), _top(scenes, classes)
    by_scene = _Layer(_expand(cells.codes, scene, grid.shape), _expand(cells.percent, scene, grid.shape))
    imagery = by_pixel.codes != NODATA
    ground = imagery & (by_pixel.codes != water_code(classes))
    row = _held(grid, parcels if verdicts is not None else None, near, ground=ground, street=thresholds.street_reach)
    base = PIXEL if mode == "pixel" else SCENE
    unit = np.full(grid.shape, base, np.uint8)
    codes, shares = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    if verdicts is not None and len(verdicts.unit):
        held = row >= 0
        of_row = np.where(verdicts.unit == ABSTAIN, base, verdicts.unit).astype(np.uint8)
        unit[held] = of_row[row[held]]
        mine = held & ((unit == PARCEL) | (unit == BLOCK))
        codes[mine] = verdicts.top[row[mine]]
        shares[mine] = _percent(verdicts.purity)[row[mine]]
        if mode == "auto":
            unit[(unit == SCENE) & (by_scene.percent < 100 * thresholds.scene_top)] = PIXEL
    for code, layer in ((PIXEL, by_pixel), (SCENE, by_scene)):
        mine = (unit == code) & imagery
        codes[mine], shares[mine] = layer.codes[mine], layer.percent[mine]
    unit[codes == NODATA] = 0
    return Decided(codes, shares, unit, row)


def parcels_near(tree: shapely.STRtree, grid: Grid, thresholds: UnitThresholds) -> NDArray[np.int64]:
    """Return the rows, ascending, of the parcels whose bounds meet a block and what it may reach around it.

    `tree` holds all parcels of the job, in the order of their table; one tree serves every block.
    """
    margin = thresholds.street_reach + grid.resolution
    left, bottom, right, top = grid.bounds
    window = shapely.box(left - margin, bottom - margin, right + margin, top + margin)
    return np.sort(tree.query(window)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Layer:
    """Class codes and their probability in percent, each (y, x), 0 without any."""

    codes: Bytes
    percent: Bytes


def _top(probabilities: Bytes, classes: tuple[MapClass, ...]) -> _Layer:
    """Return the most probable classes."""
    total = probabilities.sum(axis=0, dtype=np.uint32)
    best = probabilities.argmax(axis=0)
    highest = probabilities.max(axis=0)
    codes = np.array([c.code for c in classes], np.uint8)
    share = np.divide(highest, total, out=np.zeros(total.shape), where=total > 0)
    return _Layer(np.where(total > 0, codes[best], NODATA).astype(np.uint8), _percent(share))


def _percent(shares: Floats) -> Bytes:
    return np.rint(100 * shares).astype(np.uint8)


def _expand(cells: Bytes, side: int, shape: tuple[int, int]) -> Bytes:
    return cells.repeat(side, axis=0).repeat(side, axis=1)[: shape[0], : shape[1]]


def _held(
    grid: Grid, parcels: gpd.GeoDataFrame | None, near: Rows | None, *, ground: NDArray[np.bool_], street: float
) -> NDArray[np.int32]:
    """Return the row of the parcel each pixel belongs to, (y, x); -1 where it belongs to none.

    Ground beside parcels is given to the nearest by a lattice five times as fine, whose middle points are the pixels'
    own: a street of a pixel's width lies between two rows of houses, and half of it belongs to each.
    """
    if parcels is None:
        return np.full(grid.shape, -1, np.int32)
    border = math.ceil(street / grid.resolution)
    if not border:
        return _burn(grid, parcels, near)
    fine = _burn(_finer(grid, border), parcels, near)
    start = border * _FINE + _FINE // 2
    rows = fine[start::_FINE, start::_FINE][: grid.height, : grid.width].copy()
    down, right = np.nonzero((rows < 0) & ground)
    for y, x in _offsets(street * _FINE / grid.resolution):
        there = fine[start + _FINE * down + y, start + _FINE * right + x]
        found = there >= 0
        rows[down[found], right[found]] = there[found]
        down, right = down[~found], right[~found]
    return rows


def _finer(grid: Grid, border: int) -> Grid:
    wide = grid.window(-border, -border, grid.height + 2 * border, grid.width + 2 * border)
    return Grid(wide.crs, wide.left, wide.top, wide.resolution / _FINE, wide.width * _FINE, wide.height * _FINE)


def _offsets(furthest: float) -> list[tuple[int, int]]:
    """Return the steps (down, right) up to a distance, nearest first; the same order wherever a pixel lies."""
    border = math.floor(furthest)
    steps = range(-border, border + 1)
    found = [(y * y + x * x, y, x) for y in steps for x in steps if 0 < y * y + x * x <= furthest * furthest]
    return [(y, x) for _, y, x in sorted(found)]


def _burn(grid: Grid, parcels: gpd.GeoDataFrame, near: Rows | None) -> NDArray[np.int32]:
    """Return the row of the parcel that holds each pixel's centre, (y, x); -1 where none does or it is a sliver."""
    geometries, sliver = parcels.geometry.to_numpy(), parcels["sliver"].to_numpy()
    candidates = np.arange(len(parcels)) if near is None else np.sort(near)
    west, south, east, north = shapely.bounds(geometries[candidates]).T
    left, bottom, right, top = grid.bounds
    meets = (west < right) & (east > left) & (south < top) & (north > bottom)
    rows = candidates[meets & ~sliver[candidates]]
    if not len(rows):
        return np.full(grid.shape, -1, np.int32)
    parts, of_row = shapely.get_parts(geometries[rows], return_index=True)
    # The largest value wins, so numbers within the block, which float32 holds exactly, keep later rows on top.
    place = burn(parts, of_row + 1, (grid.left, grid.top), grid.resolution, grid.shape).astype(np.int32)
    return np.append(-1, rows).astype(np.int32)[place]
