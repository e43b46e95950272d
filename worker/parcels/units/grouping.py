"""Groups small parcels into the blocks they form together, where no table of blocks says so."""

from __future__ import annotations

from typing import Final

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from models.cards import UnitThresholds
from worker.parcels.units.judging import narrow

# Parcels of one block are drawn to a common edge, up to the rounding of their coordinates; a street is wider.
TOUCH: Final = 0.5
# Bounds on hostile tables. A plot has a few corners and about six neighbours; where thousands lie on one another, the
# first of them connect them just as well, and where all do, those that come late form no block.
_VERTICES: Final = 5_000
_NEIGHBOURS: Final = 48
_PAIRS_AT_ONCE: Final = 5_000_000
_MOST_CANDIDATES: Final = 40_000_000
_CHUNK: Final = 10_000


def group_small(parcels: gpd.GeoDataFrame, thresholds: UnitThresholds) -> NDArray[np.int64]:
    """Return the number of the block (n,) that each small parcel forms with others, -1 for none.

    `parcels` has the columns of `cleaning.clean_parcels`. A block is a connected component of parcels smaller than
    `parcel_min_area`, neither long nor narrow nor slivers, that come within TOUCH metres of one another: streets, and
    parcels that are streets, separate blocks. Numbers run from 0 in the order of each block's first row; a parcel with
    no such neighbour is no block. Parcels of more than 5,000 corners are left out.
    """
    small = parcels["area_m2"].to_numpy() < thresholds.parcel_min_area
    compact = parcels["elongation"].to_numpy() < thresholds.pixel_elongation
    compact &= ~narrow(parcels, thresholds) & ~parcels["sliver"].to_numpy()
    rows = np.flatnonzero(small & compact)
    geometries = parcels.geometry.to_numpy()[rows]
    corners = shapely.get_num_coordinates(geometries)
    plain = (corners > 0) & (corners <= _VERTICES)
    rows, geometries = rows[plain], geometries[plain]
    left, right = _neighbours(geometries)
    links = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(len(rows), len(rows)))
    _, label = connected_components(links, directed=False)
    block = np.full(len(parcels), -1, np.int64)
    block[rows] = _numbered(label)
    return block


def _neighbours(geometries: NDArray[np.object_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs (i < j) of geometries within TOUCH metres, of at most _NEIGHBOURS candidates each."""
    shapely.prepare(geometries)
    tree = shapely.STRtree(geometries)
    step = max(1, min(_CHUNK, _PAIRS_AT_ONCE // max(1, len(geometries))))
    lefts, rights, candidates = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for start in range(0, len(geometries), step):
        west, south, east, north = shapely.bounds(geometries[start : start + step]).T
        boxes = shapely.box(west - TOUCH, south - TOUCH, east + TOUCH, north + TOUCH)
        left, right = tree.query(boxes)
        candidates += len(left)
        if candidates > _MOST_CANDIDATES:
            break
        left = left + start
        order = np.lexsort((right, left))
        left, right = left[order], right[order]
        left, right = left[left < right], right[left < right]
        few = np.arange(len(left)) - np.searchsorted(left, left) < _NEIGHBOURS
        left, right = left[few], right[few]
        close = shapely.dwithin(geometries[left], geometries[right], TOUCH)
        lefts.append(left[close])
        rights.append(right[close])
    return np.concatenate(lefts), np.concatenate(rights)


def _numbered(label: NDArray[np.int32]) -> NDArray[np.int64]:
    """Number components from 0 by their first member; -1 for those of one member."""
    _, first, inverse, count = np.unique(label, return_index=True, return_inverse=True, return_counts=True)
    first = np.where(count > 1, first, len(label))
    order = np.argsort(first, kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    number[count == 1] = -1
    found: NDArray[np.int64] = number[inverse]
    return found
