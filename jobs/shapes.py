"""Shapes that strangers drew: which of them can be worked with in time, and how they become valid polygons."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

Geometries = NDArray[np.object_]
Mask = NDArray[np.bool_]

POLYGONS: Final = (
    shapely.GeometryType.POLYGON,
    shapely.GeometryType.MULTIPOLYGON,
    shapely.GeometryType.GEOMETRYCOLLECTION,
)
# Below this, even the worst drawing is checked in a moment.
_TRUSTED_CORNERS: Final = 20_000
# Edges whose bounds meet: checking a ring takes time in their number. Coasts and rivers have a handful an edge.
_MOST_MEETINGS: Final = 50_000_000
_SAMPLED: Final = 1000
_LOOKED_AT: Final = 20_000


class Entanglement(NamedTuple):
    """How many pairs of edges have bounds that meet, and how many of them cross; judged by a sample."""

    meetings: int
    crossings: int


def entanglement(lines: Geometries) -> Entanglement:
    """Judge lines or rings (n,) by a thousand of their edges; the same lines are always judged the same.

    Which edges are looked at depends on all coordinates, so that no drawing can keep its tangle from sight.
    """
    points, of_line = shapely.get_coordinates(lines, return_index=True)
    starts = np.flatnonzero(of_line[1:] == of_line[:-1])
    generator = np.random.default_rng(zlib.crc32(points.tobytes()))
    picked = generator.choice(starts, min(_SAMPLED, len(starts)), replace=False)
    if not len(picked):
        return Entanglement(0, 0)
    some = shapely.linestrings(np.stack([points[picked], points[picked + 1]], axis=1))
    first, second = shapely.STRtree(some).query(some)
    first, second = first[first < second], second[first < second]
    looked = slice(None, None, max(1, len(first) // _LOOKED_AT))
    share = np.mean(shapely.crosses(some[first[looked]], some[second[looked]])) if len(first) else 0.0
    meetings = len(first) * (len(starts) / len(picked)) ** 2
    return Entanglement(int(meetings), int(share * meetings))


def rings_of(shapes: Geometries) -> Geometries:
    """Return all rings of polygons (n,); other parts of them are passed over."""
    parts = shapely.get_parts(shapely.get_parts(shapes))
    rings: Geometries = shapely.get_rings(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    return rings


def usable(shapes: Geometries, kinds: Sequence[int] = POLYGONS) -> Mask:
    """Return which geometries are there, of the kinds wanted, and have finite coordinates in no tangle."""
    fits: Mask = np.isin(shapely.get_type_id(shapes), [int(k) for k in kinds]) & ~shapely.is_empty(shapes)
    fits &= finite(shapes)
    for row in np.flatnonzero(fits & (shapely.get_num_coordinates(shapes) > _TRUSTED_CORNERS)):
        fits[row] = entanglement(rings_of(shapes[[row]])).meetings <= _MOST_MEETINGS
    return fits


def finite(shapes: Geometries) -> Mask:
    """Return which geometries have finite coordinates alone; bounds would not tell of holes."""
    points, of_shape = shapely.get_coordinates(shapes, return_index=True)
    sound = np.ones(len(shapes), bool)
    sound[of_shape[~np.isfinite(points).all(axis=1)]] = False
    return sound


def polygons_of(geometries: Geometries) -> Geometries:
    """Return each geometry as a valid 2-D Polygon or MultiPolygon; an empty Polygon where nothing has an inside."""
    flat = flattened(geometries)
    valid = shapely.is_valid(flat)
    if not valid.all():
        flat[~valid] = _repaired(flat[~valid])
    kinds = shapely.get_type_id(flat)
    for row in np.flatnonzero((kinds != shapely.GeometryType.POLYGON) & (kinds != shapely.GeometryType.MULTIPOLYGON)):
        flat[row] = _inside_of(flat[row])
    return np.asarray(flat, dtype=object)


def flattened(geometries: Geometries) -> Geometries:
    """Return geometries without heights and measures; those that have none are shared, as they may be many."""
    flat = np.array(geometries, dtype=object)
    tall = shapely.has_z(flat) | shapely.has_m(flat)
    flat[tall] = shapely.force_2d(flat[tall])
    return flat


def made_valid(geometries: Geometries, mend: Callable[[Geometries], Geometries] = shapely.make_valid) -> Geometries:
    """Return geometries mended; an empty polygon for one that GEOS gives up on."""
    try:
        return np.asarray(mend(geometries), dtype=object)
    except shapely.errors.GEOSException:
        if len(geometries) == 1:
            return np.array([Polygon()], dtype=object)
        return np.concatenate([made_valid(half, mend) for half in np.array_split(geometries, 2)])


def _repaired(geometries: Geometries) -> Geometries:
    """Make geometries valid; GEOS leaves a few invalid (parts that share an edge), which its other ways mend."""
    fixed = made_valid(geometries, partial(shapely.make_valid, method="structure", keep_collapsed=False))
    for mend in (shapely.make_valid, partial(shapely.buffer, distance=0)):
        bad = ~shapely.is_valid(fixed)
        if bad.any():
            fixed[bad] = made_valid(fixed[bad], mend)
    return fixed


def _inside_of(geometry: BaseGeometry | None) -> Polygon | MultiPolygon:
    parts = [p for p in shapely.get_parts(shapely.get_parts(geometry)) if isinstance(p, Polygon)]
    if not parts:
        return Polygon()
    whole = shapely.union_all(parts)
    return whole if isinstance(whole, Polygon | MultiPolygon) else Polygon()
