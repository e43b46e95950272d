"""Parcel geometry made fit for mapping: repaired, measured, and checked for slivers and overlaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from jobs.record import Warned
from jobs.shapes import polygons_of
from worker.parcels.vectors.cutting import cut_up

SLIVER_AREA: Final = 1.0
SLIVER_WIDTH: Final = 0.2
OVERLAP_SHARE: Final = 0.01
# Metres by which a parcel may leave the area of interest untold: outlines are no more exact than that.
CROSSING: Final = 0.5
_BOX_CORNERS: Final = 5
_AT_ONCE: Final = 20_000
# Bounds the work on hostile files where everything overlaps everything; a share found is then a lower bound.
# Real parcels meet about four others.
_NEIGHBOURS: Final = 256
_PAIRS_AT_ONCE: Final = 5_000_000
_MOST_CANDIDATES: Final = 200_000_000
_MOST_PAIRS: Final = 1_000_000

Geometries = NDArray[np.object_]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Cleaned parcels, as many and in the same order as they came, and what there is to warn of.

    Columns: parcel_id, geometry (2-D valid polygons), area_m2 (planar in the grid's CRS), elongation (long by short
    side of the minimum rotated rectangle), mean_width (2 A / perimeter, metres), overlap_share (of its area, covered
    by other parcels too) and sliver (never a deciding unit).
    """

    frame: gpd.GeoDataFrame
    warnings: tuple[Warned, ...]


def clean_parcels(frame: gpd.GeoDataFrame, area: BaseGeometry) -> Cleaned:
    """Repair and measure parcels (metres); `area` is the area of interest in the same CRS. Drops no parcel."""
    raw = frame.geometry.to_numpy()
    geometries = polygons_of(raw)
    size, width = shapely.area(geometries), mean_width(geometries)
    sliver = (size < SLIVER_AREA) | (width < SLIVER_WIDTH)
    overlap = overlap_shares(geometries, size)
    columns = {"area_m2": size, "elongation": elongation(geometries), "mean_width": width,
               "overlap_share": overlap, "sliver": sliver}  # fmt: skip
    cleaned = gpd.GeoDataFrame(frame[["parcel_id"]].assign(**columns), geometry=geometries, crs=frame.crs)
    repaired = int((~shapely.is_valid(raw)).sum())
    around = area.buffer(CROSSING)
    shapely.prepare(around)
    crossing = int((~shapely.covers(around, geometries) & ~sliver).sum())
    return Cleaned(cleaned, _warnings(repaired, sliver, overlap, crossing))


def mean_width(geometries: Geometries) -> Numbers:
    """Return 2 A / perimeter in CRS units: half the side of a square, about the width of a strip."""
    return _ratio(2 * shapely.area(geometries), shapely.length(geometries))


def elongation(geometries: Geometries) -> Numbers:
    """Return long by short side of the minimum rotated rectangle (1 for squares, inf for lines, 1 for empty)."""
    steps = range(0, len(geometries), _AT_ONCE)
    return np.concatenate([np.ones(0), *(_elongation(geometries[at : at + _AT_ONCE]) for at in steps)])


def _elongation(geometries: Geometries) -> Numbers:
    boxes = shapely.oriented_envelope(geometries)
    result = np.where(shapely.is_empty(boxes) | shapely.is_missing(boxes), 1.0, np.inf)
    drawn = shapely.get_num_coordinates(boxes) == _BOX_CORNERS
    corners = shapely.get_coordinates(boxes[drawn]).reshape(-1, _BOX_CORNERS, 2)
    sides = np.linalg.norm(np.diff(corners[:, :3], axis=1), axis=2)
    short, long = sides.min(axis=1), sides.max(axis=1)
    result[drawn] = np.divide(long, short, out=np.full(len(sides), np.inf), where=short > 0)
    return result


def overlap_shares(geometries: Geometries, size: Numbers) -> Numbers:
    """Return the share (0-1) of each polygon that other polygons cover as well, through an STR tree.

    Where three overlap, their common part counts twice; the share is cut at 1.
    """
    shared = np.zeros(len(geometries))
    pieces, owner = cut_up(geometries)
    for first, second in _pairs(pieces, owner):
        common = _common_area(pieces[first], pieces[second])
        np.add.at(shared, owner[first], common)
        np.add.at(shared, owner[second], common)
    shares: Numbers = np.minimum(_ratio(shared, size), 1.0)
    return shares


def _pairs(geometries: Geometries, owner: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield pairs (i < j) of pieces of different polygons (`owner`) whose bounds overlap.

    At most 256 polygons for one piece, and about a million pairs or four a piece in all.
    """
    tree = shapely.STRtree(geometries)
    step = max(1, _PAIRS_AT_ONCE // max(1, len(geometries)))
    candidates, pairs = 0, 0
    for start in range(0, len(geometries), step):
        if candidates > _MOST_CANDIDATES or pairs > max(_MOST_PAIRS, 4 * len(geometries)):
            return
        left, right = tree.query(geometries[start : start + step])
        candidates += len(left)
        left = left + start
        later = (left < right) & (owner[left] != owner[right])
        left, right = left[later], right[later]
        order = np.lexsort((right, left))
        left, right = left[order], right[order]
        # Pieces of one polygon follow each other: each first of them is one more neighbour.
        another = np.diff(left, prepend=-1).astype(bool) | np.diff(owner[right], prepend=-1).astype(bool)
        counted = np.cumsum(another)
        rank = counted - counted[np.searchsorted(left, left)]
        near = rank < _NEIGHBOURS
        pairs += int(near.sum())
        yield left[near], right[near]


def _common_area(left: Geometries, right: Geometries) -> Numbers:
    common = np.zeros(len(left))
    meets = shapely.intersects(left, right) & ~shapely.touches(left, right)
    for some in np.array_split(np.flatnonzero(meets), len(left) // _AT_ONCE + 1):
        common[some] = shapely.area(shapely.intersection(left[some], right[some]))
    return common


def _ratio(upper: NDArray[Any], lower: NDArray[Any]) -> Numbers:
    ratio: Numbers = np.divide(upper, lower, out=np.zeros(len(upper)), where=lower > 0)
    return ratio


def _warnings(repaired: int, sliver: NDArray[np.bool_], overlap: Numbers, crossing: int) -> tuple[Warned, ...]:
    slivers, overlapping = int(sliver.sum()), int((overlap > OVERLAP_SHARE).sum())
    said = {
        "parcels-repaired": (repaired, "parcels crossed themselves and were repaired"),
        "parcel-slivers": (slivers, "parcels are slivers (under 1 m2 or 0.2 m wide): listed, but they decide nothing"),
        "parcels-overlap": (overlapping, "parcels overlap others by more than 1 % of their area; later rows win"),
        "parcels-cross-area": (crossing, "parcels reach over the area of interest; they are judged by what lies in it"),
    }
    return tuple(Warned(code=code, detail=f"{n} {text}") for code, (n, text) in said.items() if n)
