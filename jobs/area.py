"""The area of interest: what a client drew, checked, measured and laid onto a pixel grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from pyproj import CRS, Geod, Transformer
from rasterio.transform import Affine
from shapely.geometry import MultiPolygon, Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry, BaseMultipartGeometry
from shapely.ops import transform as reproject
from shapely.validation import explain_validity

from jobs.errors import AntimeridianArea, AreaOutOfLimits, EmptyArea, InvalidArea
from models.errors import Fault

WGS84 = Geod(ellps="WGS84")
SCENE_METRES = 100.0
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_HALF_TURN = 180.0
_WIDEST_DEGREES = 6.0
_MOST_VERTICES = 100_000  # of an outline on its way to another CRS; beyond, it is larger than the Earth
_FARTHEST_LATITUDE = 84.0


@dataclass(frozen=True, slots=True)
class Area:
    """An area of interest in longitude/latitude (WGS 84), right-handed rings, with its geodesic area."""

    geometry: Polygon | MultiPolygon
    km2: float

    @property
    def geojson(self) -> dict[str, Any]:
        """The geometry as a GeoJSON mapping."""
        return dict(mapping(self.geometry))


@dataclass(frozen=True, slots=True)
class Grid:
    """A north-up pixel grid: CRS as authority code or WKT, upper-left corner and pixel side in CRS metres."""

    crs: str
    left: float
    top: float
    resolution: float
    width: int
    height: int

    @property
    def transform(self) -> Affine:
        """The affine from (column, row) to CRS coordinates of pixel corners."""
        return Affine(self.resolution, 0.0, self.left, 0.0, -self.resolution, self.top)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.height, self.width

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top."""
        size = self.resolution
        return self.left, self.top - size * self.height, self.left + size * self.width, self.top

    def window(self, row: int, column: int, height: int, width: int) -> Grid:
        """Return the grid of a window; it may reach over the edges (negative rows or columns)."""
        left, top = self.left + column * self.resolution, self.top - row * self.resolution
        return Grid(self.crs, left, top, self.resolution, width, height)


def parse_area(value: Mapping[str, Any], *, pointer: str, max_vertices: int) -> Area:
    """Check what a client sent as `aoi`: a Polygon, MultiPolygon, Feature, FeatureCollection or {"bbox": [w,s,e,n]}.

    A bbox may carry the `crs` the standard lets it have, where that is longitude/latitude.
    Raises InvalidArea, EmptyArea or AntimeridianArea, each pointing at `pointer`.
    """
    if value.get("crs") is not None and not (value["crs"] == CRS84 and "bbox" in value):
        raise _invalid("GeoJSON is always longitude/latitude (RFC 7946): remove the crs member", f"{pointer}/crs")
    polygons = _polygons(value, pointer)
    if sum(shapely.get_num_coordinates(p) for p in polygons) > max_vertices:
        raise _invalid(f"more than {max_vertices} vertices: simplify the outline", pointer)
    if all(_is_flat(polygon) for polygon in polygons):
        msg = "the area of interest encloses nothing: draw a polygon with an inside"
        raise EmptyArea(msg, faults=[Fault(pointer, "empty")])
    for polygon in polygons:
        _check_ring(polygon, pointer)
    whole = shapely.force_2d(shapely.union_all(polygons)) if len(polygons) > 1 else shapely.force_2d(polygons[0])
    whole = _only_polygons(whole)
    west, _, east, _ = whole.bounds
    if east - west > _HALF_TURN:
        msg = "the area of interest crosses the antimeridian: send one job for each side of it"
        raise AntimeridianArea(msg, faults=[Fault(pointer, f"spans {east - west:.1f} degrees of longitude")])
    whole = shapely.orient_polygons(whole)
    return Area(whole, abs(WGS84.geometry_area_perimeter(whole)[0]) / 1e6)


def check_limits(area: Area, *, min_km2: float, max_km2: float, pointer: str) -> None:
    """Raise AreaOutOfLimits, naming the limits, unless the area lies within them; and InvalidArea near the poles."""
    if not min_km2 <= area.km2 <= max_km2:
        msg = f"the area of interest measures {area.km2:.4g} km2; this model accepts {min_km2:g} to {max_km2:g} km2"
        raise AreaOutOfLimits(msg, faults=[Fault(pointer, f"{area.km2:.4g} km2")])
    west, south, east, north = area.geometry.bounds
    if max(abs(south), abs(north)) > _FARTHEST_LATITUDE:
        raise _invalid("UTM ends at 84 degrees of latitude: choose an area nearer the equator", pointer)
    if east - west > _WIDEST_DEGREES:
        raise _invalid("wider than a UTM zone (6 degrees): split it into several jobs", pointer)


def utm_crs(area: Area) -> str:
    """Return the UTM zone (EPSG code, WGS 84) of the area's centroid."""
    centre = area.geometry.centroid
    zone = min(int((centre.x + _HALF_TURN) // 6) + 1, 60)
    return f"EPSG:{(32600 if centre.y >= 0 else 32700) + zone}"


def utm_grid(area: Area, resolution: float) -> Grid:
    """Lay the area onto its UTM zone's grid; corners snap to whole 100 m, so that neighbouring jobs share cells."""
    crs = utm_crs(area)
    left, bottom, right, top = project(area.geometry, crs).bounds
    west, south = (math.floor(v / SCENE_METRES) * SCENE_METRES for v in (left, bottom))
    east, north = (math.ceil(v / SCENE_METRES) * SCENE_METRES for v in (right, top))
    return Grid(crs, west, north, resolution, round((east - west) / resolution), round((north - south) / resolution))


def project(geometry: BaseGeometry, crs: str, *, source: str = "EPSG:4326") -> BaseGeometry:
    """Return the geometry in another CRS, x before y on both sides; long edges get extra vertices first."""
    transformer, step = _way(source, crs)
    outline = drawn(geometry)
    longest = max(step, shapely.length(outline) / _MOST_VERTICES)
    return reproject(transformer.transform, shapely.segmentize(outline, longest))


@lru_cache(maxsize=256)
def _way(source: str, crs: str) -> tuple[Transformer, float]:
    """Return how to get from one CRS to another, and how long an edge may be on the way in units of the first.

    Transformers may be shared between threads since pyproj 3.1; making one takes as long as a hundred points.
    """
    step = 0.01 if CRS.from_user_input(source).is_geographic else 1000.0
    return Transformer.from_crs(source, crs, always_xy=True), step


def drawn(geometry: BaseGeometry) -> BaseGeometry:
    """Return a geometry without its empty rings and parts: told to segmentize one, GEOS ends the process."""
    if isinstance(geometry, Polygon):
        return Polygon(geometry.exterior, [ring for ring in geometry.interiors if not ring.is_empty])
    if isinstance(geometry, BaseMultipartGeometry):
        return type(geometry)([drawn(part) for part in geometry.geoms if not part.is_empty])
    return geometry


def area_of(grid: Grid) -> Area:
    """Return the area a grid covers, in longitude/latitude."""
    outline = project(box(*grid.bounds), "EPSG:4326", source=grid.crs)
    outline = shapely.orient_polygons(outline)
    return Area(outline, abs(WGS84.geometry_area_perimeter(outline)[0]) / 1e6)


def area_of_bounds(bounds: tuple[float, float, float, float]) -> Area:
    """Return the area of a box in longitude/latitude."""
    outline = box(*bounds)
    return Area(outline, abs(WGS84.geometry_area_perimeter(outline)[0]) / 1e6)


def _polygons(value: Mapping[str, Any], pointer: str) -> list[BaseGeometry]:
    if "bbox" in value and "type" not in value:
        return [_bbox(value["bbox"], f"{pointer}/bbox")]
    if value.get("type") == "FeatureCollection":
        features = value.get("features")
        if not isinstance(features, list) or not features:
            msg = "the FeatureCollection holds no feature"
            raise EmptyArea(msg, faults=[Fault(f"{pointer}/features", "empty")])
        return [_feature(feature, f"{pointer}/features/{i}") for i, feature in enumerate(features)]
    if value.get("type") == "Feature":
        return [_feature(value, pointer)]
    return [_geometry(value, pointer)]


def _feature(value: Any, pointer: str) -> BaseGeometry:
    geometry = _object(value, pointer).get("geometry")
    return _geometry(_object(geometry, f"{pointer}/geometry"), f"{pointer}/geometry")


def _object(value: Any, pointer: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _invalid("a GeoJSON object is missing here", pointer)
    return value


def _bbox(value: Any, pointer: str) -> BaseGeometry:
    corners = 4
    if not isinstance(value, list) or len(value) != corners or not all(_is_number(v) for v in value):
        raise _invalid("bbox is [west, south, east, north] in degrees", pointer)
    west, south, east, north = value
    _check_range(np.array([[west, south], [east, north]], dtype=float), pointer)
    if west > east:
        msg = "the bbox crosses the antimeridian (west > east): send one job for each side of it"
        raise AntimeridianArea(msg, faults=[Fault(pointer, f"west {west} > east {east}")])
    return box(west, south, east, north)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _geometry(value: Mapping[str, Any], pointer: str) -> BaseGeometry:
    kind, coordinates = value.get("type"), value.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise _invalid(
            f"type must be Polygon, MultiPolygon, Feature or FeatureCollection, not {kind!r}", f"{pointer}/type"
        )
    if coordinates == []:
        msg = "the area of interest has no coordinates: draw a polygon with an inside"
        raise EmptyArea(msg, faults=[Fault(f"{pointer}/coordinates", "empty")])
    try:
        geometry = shape({"type": kind, "coordinates": coordinates})
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise _invalid(
            "coordinates are not rings of [longitude, latitude] pairs, first equal to last", pointer
        ) from error
    if not geometry.is_empty:
        _check_range(shapely.get_coordinates(geometry), f"{pointer}/coordinates")
    return geometry


def _check_range(coordinates: np.ndarray[Any, Any], pointer: str) -> None:
    if not np.isfinite(coordinates).all():
        raise _invalid("a coordinate is not a number", pointer)
    longitude, latitude = np.abs(coordinates).max(axis=0)
    if longitude > 180 or latitude > 90:  # noqa: PLR2004 - degrees
        raise _invalid("coordinates are [longitude, latitude] in degrees: within [-180, 180] and [-90, 90]", pointer)


def _is_flat(polygon: BaseGeometry) -> bool:
    west, south, east, north = polygon.bounds if not polygon.is_empty else (0, 0, 0, 0)
    return bool(west == east or south == north)


def _check_ring(polygon: BaseGeometry, pointer: str) -> None:
    if not polygon.is_empty and not polygon.is_valid:
        raise _invalid(f"not a valid polygon: {explain_validity(polygon)}", f"{pointer}/coordinates")


def _only_polygons(geometry: BaseGeometry) -> Polygon | MultiPolygon:
    if isinstance(geometry, Polygon | MultiPolygon):
        return geometry
    parts = [p for p in shapely.get_parts(geometry) if isinstance(p, Polygon | MultiPolygon)]
    return MultiPolygon(parts)


def _invalid(detail: str, pointer: str) -> InvalidArea:
    return InvalidArea(f"the area of interest cannot be used: {detail}", faults=[Fault(pointer, detail)])
