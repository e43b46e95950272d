"""Shapes of very many corners, cut into small pieces where they are compared."""

from __future__ import annotations

from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

MANY_CORNERS: Final = 512

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
