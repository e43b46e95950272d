"""Shapes of very many corners: cut into small pieces where they are compared, refused where they are a tangle."""

from __future__ import annotations

from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

MANY_CORNERS: Final = 512
# Below this, even the worst drawing is checked in a moment.
_TRUSTED_CORNERS: Final = 20_000
# Edges whose bounds meet: checking a ring takes time in their number. Coasts and rivers have a handful an edge.
_MOST_MEETINGS: Final = 100_000_000
_SAMPLED: Final = 100

Geometries = NDArray[np.object_]


def cut_up(shapes: Geometries, corners: int = MANY_CORNERS) -> tuple[Geometries, NDArray[np.intp]]:
    """Return valid polygons (n,) in pieces of at most `corners` each, and the row each piece is of.

    A piece is cut in half across its longer side until it is small, so that the work grows with n log n.
    """
    big = np.flatnonzero(shapely.get_num_coordinates(shapes) > corners)
    if not len(big):
        return shapes, np.arange(len(shapes))
    small = np.setdiff1d(np.arange(len(shapes)), big)
    pieces = [_pieces(shapes[row], corners) for row in big]
    cut = np.fromiter((piece for some in pieces for piece in some), dtype=object)
    owners = np.repeat(big, [len(some) for some in pieces])
    return np.concatenate([shapes[small], cut]), np.concatenate([small, owners])


def _pieces(shape: BaseGeometry, corners: int) -> list[BaseGeometry]:
    done, waiting = [], [shape]
    while waiting:
        piece = waiting.pop()
        west, south, east, north = piece.bounds
        middle_x, middle_y = (west + east) / 2, (south + north) / 2
        flat = not (west < middle_x < east and south < middle_y < north)
        if flat or shapely.get_num_coordinates(piece) <= corners:
            done.append(piece)
        elif east - west > north - south:
            waiting += [clipped(piece, west, south, middle_x, north), clipped(piece, middle_x, south, east, north)]
        else:
            waiting += [clipped(piece, west, south, east, middle_y), clipped(piece, west, middle_y, east, north)]
    return [piece for piece in done if not piece.is_empty]


def clipped(shape: BaseGeometry, west: float, south: float, east: float, north: float) -> BaseGeometry:
    """Return the part of a valid polygon inside a rectangle, a valid polygon again (maybe of several parts, or none).

    GEOS's fast way may leave something invalid where rings touch the rectangle; then its slow way is taken.
    """
    try:
        piece = shapely.clip_by_rect(shape, west, south, east, north)
        sound = shapely.get_num_coordinates(piece) > MANY_CORNERS or piece.is_valid
    except shapely.errors.GEOSException:
        sound = False
    if not sound:
        piece = shapely.intersection(shapely.make_valid(shape), shapely.box(west, south, east, north))
    kinds = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    if shapely.get_type_id(piece) in kinds:
        return piece
    parts = shapely.get_parts(piece)
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2]) if len(parts) else shapely.Polygon()  # noqa: PLR2004 - areas


def tangled(shape: BaseGeometry) -> bool:
    """Return whether a polygon has so many edges beside each other that nothing could be computed with it in time.

    A star of a million spikes, say, where every edge's bounds meet those of thousands of others; judged by a sample.
    """
    if shapely.get_num_coordinates(shape) <= _TRUSTED_CORNERS:
        return False
    parts = shapely.get_parts(shapely.get_parts(shape))
    rings = shapely.get_rings(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    points, ring = shapely.get_coordinates(rings, return_index=True)
    edge = np.flatnonzero(ring[1:] == ring[:-1])
    ends = points[edge].T, points[edge + 1].T
    (west, south), (east, north) = np.minimum(*ends).copy(), np.maximum(*ends).copy()
    picked = np.linspace(0, len(edge) - 1, _SAMPLED).astype(int)
    meetings = 0
    for k in picked:
        beside = np.flatnonzero((west <= east[k]) & (east >= west[k]))
        meetings += int(((south[beside] <= north[k]) & (north[beside] >= south[k])).sum())
    return meetings / _SAMPLED * len(edge) > _MOST_MEETINGS
