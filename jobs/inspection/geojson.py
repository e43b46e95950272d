"""GeoJSON read without GDAL: RFC 7946 is longitude/latitude; a legacy `crs` member is honoured where it is known."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import geopandas
import pandas as pd
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from jobs.errors import BadVector, MissingCrs, UploadTooLarge
from jobs.inspection.layer import INSPECTED_AT_ONCE, LONLAT, check_count, kept_columns, layer_facts
from jobs.settings import Settings

# A JSON text takes about ten times its size in memory while it is read.
MAX_BYTES: Final = 96 * 1024**2
_TYPES: Final = frozenset(
    {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}
)
_EPSG: Final = re.compile(r"^(?:urn:(?:x-)?ogc:def:crs:EPSG:[0-9.]*:|EPSG:)([0-9]{4,6})$", re.IGNORECASE)
_CRS84: Final = re.compile(r"^(?:urn:ogc:def:crs:OGC:[0-9.]*:CRS84|OGC:CRS84)$", re.IGNORECASE)


def inspect_geojson(path: Path, name: str, settings: Settings) -> dict[str, Any]:
    """Return the facts of a GeoJSON file; raises BadVector, MissingCrs or UploadTooLarge."""
    document = _load(path, name)
    features = _features(document, name)
    check_count(len(features), name, settings)
    crs = _crs(document, name)
    steps = range(0, len(features), INSPECTED_AT_ONCE)
    chunks = (_geometries(features, at, INSPECTED_AT_ONCE, name) for at in steps)
    facts = layer_facts("GeoJSON", chunks, crs, _fields(features), name)
    return facts | {"layers": [{"name": None, "features": len(features)}]}


def geojson_chunks(
    path: Path, columns: Sequence[str] | None, optional: Sequence[str], size: int
) -> Iterator[geopandas.GeoDataFrame]:
    """Yield a GeoJSON file in frames of at most `size` rows; attributes a feature lacks are missing values."""
    name = "the file"
    document = _load(path, name)
    features = _features(document, name)
    crs = _crs(document, name)
    kept = kept_columns(columns, optional, _fields(features))
    for start in range(0, max(1, len(features)), size):
        some = features[start : start + size]
        table = {c: [_value((f.get("properties") or {}).get(c)) for f in some] for c in kept if c != "geometry"}
        rows = pd.RangeIndex(start, start + len(some))
        shapes = _geometries(features, start, size, name)
        yield geopandas.GeoDataFrame(table, index=rows, geometry=shapes, crs=crs)


def _geometries(features: Sequence[Mapping[str, Any]], start: int, size: int, name: str) -> list[BaseGeometry | None]:
    return [_geometry(f, start + k, name) for k, f in enumerate(features[start : start + size])]


def _value(value: Any) -> Any:
    # A list or an object in a cell cannot be written to GeoParquet or GeoPackage; its JSON text can.
    return json.dumps(value) if isinstance(value, list | dict) else value


def _load(path: Path, name: str) -> dict[str, Any]:
    if path.stat().st_size > MAX_BYTES:
        limit = MAX_BYTES // 1024**2
        raise UploadTooLarge(f"{name} is GeoJSON of more than {limit} MiB: convert it to GeoPackage or GeoParquet")
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadVector(f"{name} is not valid JSON (damaged or cut off?): export it again as GeoJSON") from error
    if not isinstance(document, dict):
        raise BadVector(f"{name} is JSON, but not a GeoJSON object")
    return document


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)


def _features(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    kind = document.get("type")
    if kind == "Feature":
        return [document]
    if isinstance(kind, str) and kind in _TYPES:
        return [{"type": "Feature", "properties": {}, "geometry": document}]
    features = document.get("features")
    if kind != "FeatureCollection" or not isinstance(features, list):
        raise BadVector(f"{name} is JSON, but not GeoJSON: its type must be FeatureCollection, Feature or a geometry")
    for index, feature in enumerate(features):
        if not isinstance(feature, dict) or not isinstance(feature.get("properties") or {}, dict):
            raise BadVector(f"{name}: feature {index} is not a GeoJSON Feature")
    return features


def _geometry(feature: Mapping[str, Any], index: int, name: str) -> BaseGeometry | None:
    geometry = feature.get("geometry")
    if geometry is None:
        return None
    try:
        made = shape(geometry)
        finite = made.is_empty or all(math.isfinite(v) for v in shapely.bounds(made))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError,
            shapely.errors.ShapelyError) as error:  # fmt: skip
        raise BadVector(f"{name}: the geometry of feature {index} is not valid GeoJSON") from error
    if not finite:
        raise BadVector(f"{name}: the geometry of feature {index} has a coordinate that is not a number")
    return made


def _fields(features: list[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for f in features for key in (f.get("properties") or {})))


def _crs(document: Mapping[str, Any], name: str) -> CRS:
    if "crs" not in document:
        return CRS.from_user_input(LONLAT)
    member = document["crs"]
    if member is None:
        raise MissingCrs(
            f"{name} says that its coordinate reference system is unknown (crs: null): reproject it to lon/lat"
        )
    properties = member.get("properties") if isinstance(member, dict) else None
    told = properties.get("name") if isinstance(properties, dict) else None
    if isinstance(told, str) and _CRS84.match(told):
        return CRS.from_user_input(LONLAT)
    code = _EPSG.match(told) if isinstance(told, str) else None
    if code is None:
        raise MissingCrs(
            f"{name} has a crs member that names no EPSG code: reproject it to lon/lat and drop the member"
        )
    try:
        return CRS.from_epsg(int(code[1]))
    except CRSError as error:
        raise MissingCrs(f"{name} names EPSG:{code[1]}, which is not known: reproject it to lon/lat") from error
