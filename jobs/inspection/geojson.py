"""GeoJSON read without GDAL: RFC 7946 is longitude/latitude; a legacy `crs` member is honoured where it is known."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from jobs.errors import BadVector, MissingCrs, UploadTooLarge
from jobs.inspection.facts import self_contained
from jobs.inspection.layer import INSPECTED_AT_ONCE, LONLAT, check_count, kept_columns, layer_facts
from jobs.settings import Settings
from jobs.surrogates import check_writable

# The text is held whole. What is decoded takes up to twenty-five times its text, so it is held in stretches: features
# until they have so many characters, and none has more than the last of the windows it is looked for in.
MAX_BYTES: Final = 96 * 1024**2
_HELD: Final = 4 * 1024**2
_WINDOWS: Final = (4096, 256 * 1024, 16 * 1024**2)
_MEMBERS: Final = frozenset({"type", "crs", "features", "properties", "geometry", "coordinates", "geometries"})
_LIST: Final = object()
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_TYPES: Final = frozenset(
    {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}
)
_EPSG: Final = re.compile(r"^(?:urn:(?:x-)?ogc:def:crs:EPSG:[0-9.]*:|EPSG:)([0-9]{4,6})$", re.IGNORECASE)
_CRS84: Final = re.compile(r"^(?:urn:ogc:def:crs:OGC:[0-9.]*:CRS84|OGC:CRS84)$", re.IGNORECASE)


def inspect_geojson(path: Path, name: str, settings: Settings) -> dict[str, Any]:
    """Return the facts of a GeoJSON file; raises BadVector, MissingCrs or UploadTooLarge."""
    document = _Document(path, name)
    check_count(document.count, name, settings)
    chunks = (_geometries(some, at, name) for at, some in document.chunks(INSPECTED_AT_ONCE))
    facts = layer_facts("GeoJSON", chunks, document.crs, document.fields, name)
    return facts | {"layers": [{"name": None, "features": document.count}]}


def geojson_chunks(
    path: Path, columns: Sequence[str] | None, optional: Sequence[str], size: int
) -> Iterator[geopandas.GeoDataFrame]:
    """Yield a GeoJSON file in frames of at most `size` rows; attributes a feature lacks are missing values."""
    document = _Document(path, "the file")
    kept = kept_columns(columns, optional, document.fields)
    for start, some in document.chunks(size):
        table = {c: _column([(f.get("properties") or {}).get(c) for f in some]) for c in kept if c != "geometry"}
        rows = pd.RangeIndex(start, start + len(some))
        shapes = _geometries(some, start, "the file")
        yield geopandas.GeoDataFrame(table, index=rows, geometry=shapes, crs=document.crs)


class _Document:
    """A GeoJSON text whose features are decoded one at a time, twice: for what there is, and when they are read."""

    def __init__(self, path: Path, name: str) -> None:
        self._text, self._name = _text(path, name), name
        self._members: dict[str, Any] = {}
        self.count = 0
        names: dict[str, None] = {}
        for feature, _ in self._features(self._members):
            names |= dict.fromkeys(feature.get("properties") or {})
            self.count += 1
        self.fields = list(names)
        self.crs = _crs(self._members, name)

    def chunks(self, size: int) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
        """Yield features by the list, each with the position of its first; one empty list where there is none."""
        some: list[Mapping[str, Any]] = []
        start = held = 0
        for feature, length in self._features({}):
            some.append(feature)
            held += length
            if len(some) >= size or held >= _HELD:
                yield start, some
                start, some, held = start + len(some), [], 0
        if some or not start:
            yield start, some

    def _features(self, members: dict[str, Any]) -> Iterator[tuple[Mapping[str, Any], int]]:
        """Yield the features, each with the length of its text; gather the document's other members."""
        found, name = False, self._name
        for key, value, length in _walk(self._text, name):
            if key is not None:
                members |= {key: value} if key in _MEMBERS else {}
                found = found or (key == "features" and value is _LIST)
                continue
            yield _feature(value, name), length
        kind = members.get("type")
        if found and kind == "FeatureCollection":
            return
        if kind == "Feature" and not found:
            yield _feature(members, name), 0
        elif isinstance(kind, str) and kind in _TYPES and not found:
            yield {"type": "Feature", "properties": {}, "geometry": members}, 0
        else:
            raise BadVector(
                f"{name} is JSON, but not GeoJSON: its type must be FeatureCollection, Feature or a geometry"
            )


def _feature(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("properties") or {}, dict):
        raise BadVector(f"{name}: a feature is not a GeoJSON Feature")
    return value


def _walk(text: str, name: str) -> Iterator[tuple[str | None, Any, int]]:
    """Yield the members of a JSON object, each with the length of its text.

    Those of the list `features` come one by one, without a key, after _LIST.
    """
    decode = json.JSONDecoder(parse_constant=_no_constant).raw_decode

    def scan(text: str, at: int) -> tuple[Any, int]:
        return _scan(decode, text, at, name)

    try:
        at = _after(text, 0, "{")
        while text[at] != "}":
            _expect(text, at, holds=text[at] == '"')
            key, at = scan(text, at)
            at = _after(text, _space(text, at), ":")
            if key == "features" and text[at] == "[":
                yield key, _LIST, 0
                at = _after(text, at, "[")
                while text[at] != "]":
                    value, end = scan(text, at)
                    yield None, value, end - at
                    at = _next(text, end, "]")
                at = _next(text, at + 1, "}")
            else:
                value, end = scan(text, at)
                yield str(key), value, end - at
                at = _next(text, end, "}")
        _expect(text, at, holds=_space(text, at + 1) == len(text))
    except (ValueError, IndexError, RecursionError) as error:
        raise BadVector(f"{name} is not valid JSON (damaged or cut off?): export it again as GeoJSON") from error


def _scan(decode: Callable[[str], tuple[Any, int]], text: str, at: int, name: str) -> tuple[Any, int]:
    """Return the value that begins at a position and where it ends; raises BadVector for one too long to be held."""
    for window in _WINDOWS:
        part = text[at : at + window]
        last = at + window >= len(text)
        try:
            value, end = decode(part)
        except ValueError:
            if last:
                raise
            continue
        if last or end < len(part):  # a number may go on beyond the window
            check_writable(value, part, 0, end)
            return value, at + end
    most = _WINDOWS[-1] // 1024**2
    raise BadVector(f"{name} is not valid JSON, or one feature has more than {most} MiB of it: split or simplify that")


def _expect(text: str, at: int, *, holds: bool) -> None:
    if not holds:
        raise json.JSONDecodeError("unexpected", text[at : at + 1], 0)


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _after(text: str, at: int, mark: str) -> int:
    """Return where the next token starts after `mark`, which must stand at a position (or behind white space)."""
    at = _space(text, at)
    if text[at] != mark:
        raise ValueError(at)
    return _space(text, at + 1)


def _next(text: str, at: int, end: str) -> int:
    """Return where the next element starts after one that ends here, or where `end` stands."""
    at = _space(text, at)
    if text[at] == end:
        return at
    at = _after(text, at, ",")
    if text[at] == end:
        raise ValueError(at)
    return at


def _geometries(features: Sequence[Mapping[str, Any]], start: int, name: str) -> list[BaseGeometry | None]:
    return [_geometry(f, start + k, name) for k, f in enumerate(features)]


def _column(values: Sequence[Any]) -> list[Any] | NDArray[np.object_]:
    """Return the values of an attribute as cells of a table; whole numbers beside gaps stay whole numbers."""
    cells = [_value(value) for value in values]
    gaps = any(cell is None for cell in cells) and any(isinstance(cell, int) for cell in cells)
    return np.array(cells, dtype=object) if gaps else cells


def _value(value: Any) -> Any:
    # A list or an object in a cell cannot be written to GeoParquet or GeoPackage; its JSON text can.
    return json.dumps(value) if isinstance(value, list | dict) else value


def _text(path: Path, name: str) -> str:
    if path.stat().st_size > MAX_BYTES:
        limit = MAX_BYTES // 1024**2
        raise UploadTooLarge(f"{name} is GeoJSON of more than {limit} MiB: convert it to GeoPackage or GeoParquet")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise BadVector(f"{name} is not valid JSON (damaged or cut off?): export it again as GeoJSON") from error
    if not text.lstrip().startswith("{"):
        raise BadVector(f"{name} is JSON, but not a GeoJSON object")
    return text


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)


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
        return self_contained(CRS.from_epsg(int(code[1])), name)
    except CRSError as error:
        raise MissingCrs(f"{name} names EPSG:{code[1]}, which is not known: reproject it to lon/lat") from error
