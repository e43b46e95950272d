"""The polygons of a vector file as one area of interest: put together, in longitude/latitude, simple enough."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from jobs.area import Area, parse_area, project
from jobs.errors import BadVector, InvalidArea, MissingCrs
from jobs.inspection.facts import crs_name
from jobs.inspection.layer import placed
from jobs.inspection.vector import read_chunks
from jobs.shapes import Geometries, entanglement, finite, polygons_of, rings_of, usable
from models.errors import Fault

MOST_POLYGONS: Final = 20_000
_MOST_CORNERS: Final = 250_000
# The time of putting together grows with either: 15 seconds and 210 MiB in the worst drawing that was tried.
_MOST_MEETINGS: Final = 5_000_000
_MOST_CROSSINGS: Final = 100_000
# Metres that an outline may be moved by, the next where it has too many vertices still. A scene cell is 100 m wide.
_TOLERANCES: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_MOST_CHANGE: Final = 0.01  # of the area
_GRID: Final = 1e-7  # degrees: a centimetre
_METRES: Final = 111_195.0  # of a degree of latitude
_UPLOAD: Final = "upload"


@dataclass(frozen=True, slots=True)
class Outline:
    """An area of interest from `polygons` of a file's `features`; their others have no inside that can be used.

    `simplified` is how many metres its outline was moved by at most, where it had too many vertices; `swapped` whether
    the file has y before x.
    """

    area: Area
    features: int
    polygons: int
    simplified: float | None
    swapped: bool


def read_outline(path: Path, layer: str | None, *, max_vertices: int) -> Outline:
    """Read an inspected vector file and put its polygons together; overlaps and common borders vanish.

    Raises BadVector without polygons and where there is too much of them, MissingCrs, and of what they come to
    InvalidArea, EmptyArea or AntimeridianArea.
    """
    shapes, features, crs = _read(path, layer)
    _, swapped = placed(shapely.total_bounds(shapes).tolist(), crs, "the layer")
    if swapped:
        shapes = shapely.transform(shapes, lambda points: points[:, ::-1])
    lonlat = _lonlat(shapely.union_all(shapes), crs)
    fitting, simplified = _simplified(lonlat, max_vertices)
    told = shapely.geometry.mapping(shapely.set_precision(fitting, _GRID))
    return Outline(
        area=parse_area(told, pointer=_UPLOAD, max_vertices=max_vertices), features=features, polygons=len(shapes),
        simplified=simplified, swapped=swapped,
    )  # fmt: skip


def bad_upload(detail: str) -> BadVector:
    """Return the error of a file that holds no area of interest, and why."""
    return BadVector(detail, faults=[Fault(_UPLOAD, detail)])


def _read(path: Path, layer: str | None) -> tuple[Geometries, int, CRS]:
    """Return the valid polygons of a layer, how many features it has, and its CRS."""
    found: list[Geometries] = []
    features = corners = 0
    crs: CRS | None = None
    for frame in read_chunks(path, columns=[], layer=layer):
        shapes, crs = frame.geometry.to_numpy(), frame.crs
        features += len(shapes)
        found.append(shapes[usable(shapes)])
        corners += int(shapely.get_num_coordinates(found[-1]).sum())
        if features > MOST_POLYGONS or corners > _MOST_CORNERS:
            raise bad_upload(
                f"more than {MOST_POLYGONS} features or {_MOST_CORNERS} vertices: dissolve or simplify the layer first"
            )
    if crs is None:
        raise MissingCrs("the layer does not say which coordinate reference system it is in: set it and send it again")
    return _polygons(np.concatenate(found)), features, crs


def _polygons(shapes: Geometries) -> Geometries:
    told = entanglement(rings_of(shapes))
    if told.meetings > _MOST_MEETINGS or told.crossings > _MOST_CROSSINGS:
        raise bad_upload("the polygons lie over each other so often that they cannot be put together: dissolve them")
    valid = polygons_of(shapes)
    whole: Geometries = valid[~shapely.is_empty(valid)]
    if not len(whole):
        raise bad_upload("the layer holds no polygon: an area of interest is one polygon or several")
    return whole


def _lonlat(whole: BaseGeometry, crs: CRS) -> BaseGeometry:
    """Return valid polygons in longitude/latitude; straight edges of a projection get vertices, as they bend."""
    if crs.is_geographic:
        turned = shapely.transform(
            whole, Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform, interleaved=False
        )
    else:
        turned = project(whole, "EPSG:4326", source=crs_name(crs))
    if not finite(np.array([turned], dtype=object)).all():
        raise bad_upload("the polygons cannot be placed on the Earth: correct the CRS of the layer")
    return _mended(turned)


def _mended(geometry: BaseGeometry) -> BaseGeometry:
    found: BaseGeometry = polygons_of(np.array([geometry], dtype=object))[0]
    return found


def _simplified(whole: BaseGeometry, most: int) -> tuple[BaseGeometry, float | None]:
    """Return an outline of at most so many vertices, and the metres it took; raises InvalidArea where none is true.

    Gaps between parcels that were drawn one by one vanish, small parts do as well: what has changed its size by more
    than a hundredth is another area.
    """
    if shapely.get_num_coordinates(whole) <= most:
        return whole, None
    scale = _scale(whole)
    plane = shapely.transform(whole, lambda points: points * scale)
    for tolerance in _TOLERANCES:
        found = shapely.simplify(plane, tolerance, preserve_topology=False)
        if abs(found.area / plane.area - 1) > _MOST_CHANGE:
            break
        if shapely.get_num_coordinates(found) <= most:
            return _mended(shapely.transform(found, lambda points: points / scale)), tolerance
    detail = (
        f"the polygons come to {shapely.get_num_coordinates(whole)} vertices in {shapely.get_num_geometries(whole)} "
        f"parts, and cannot be simplified to the {most} that are accepted: dissolve the layer, or draw its boundary"
    )
    raise InvalidArea(detail, faults=[Fault(_UPLOAD, detail)])


def _scale(whole: BaseGeometry) -> NDArray[np.float64]:
    """Return metres of a degree of longitude and of latitude amid a geometry."""
    _, south, _, north = whole.bounds
    return _METRES * np.array([max(np.cos(np.radians((south + north) / 2)), 1e-3), 1.0])
