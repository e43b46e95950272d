"""GeoJSON of every way to be wrong: values, rings, members, and the text itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st


class Raw(str):
    """JSON that Python would not write: it goes into the text as it is."""

    __slots__ = ()


class Pairs(list):  # type: ignore[type-arg]
    """An object whose names may come twice."""


WEST, SOUTH = 13.380, 52.505  # of the image that the tests send
_TYPES = ("Polygon", "MultiPolygon", "Point", "MultiPoint", "LineString", "MultiLineString", "GeometryCollection")
_NO_JSON = (
    Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), Raw("01"), Raw("+1"), Raw("0x10"), Raw(".5"), Raw("1" * 5000),
)  # fmt: skip
_ODD_NUMBERS = (
    Raw("1e999"), Raw("-0.0"), Raw("1e-400"), Raw("1" * 400), Raw("-" + "9" * 30), 180, -180, 180.0000001, 181, -360,
    90, -90, 89.9999999, 84.1, 1e308, -1e308, 5e-324, 2**53 + 1, 2**63, 2**64, 0, None, True, "13.4", [], {}, [13, 52],
)  # fmt: skip
_ODD_TEXTS = (
    "", "\0", "a\0b", "\ud800", "\udfff\ud800", "\U0001f3d9", "é" * 300, "../../x", "'; DROP TABLE x;--", "\u202e",
    "\n", "geometry", "fid", "index", "__class__", "x" * 70_000, "{{7*7}}", "<script>", "=1+1",
)  # fmt: skip
_CRS = (
    None, {}, 7, "EPSG:4326", {"type": "name", "properties": {"name": "EPSG:32633"}},
    {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}},
    {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
    {"type": "name", "properties": {"name": "EPSG:999999"}}, {"type": "name", "properties": {"name": "EPSG:4979"}},
    {"type": "name", "properties": {"name": "EPSG:5714"}}, {"type": "name", "properties": {"name": ["EPSG:4326"]}},
    {"type": "name", "properties": {"name": "+proj=latlong +nadgrids=/etc/passwd"}},
    {"type": "link", "properties": {"href": "http://127.0.0.1:1/x"}},
    {"type": "name", "properties": {"name": "\ud800"}},
)  # fmt: skip
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_USUAL = st.sampled_from([*_ODD_NUMBERS, *_ODD_TEXTS])
LEAVES = st.integers(0, 15).flatmap(
    lambda n: st.sampled_from(_NO_JSON) if n == 15 else st.one_of(_USUAL, _FLOATS, st.integers(), st.text(max_size=9))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def dump(value: Any) -> str:
    """Write a value as JSON text, or what looks like it: double names, NaN and lone surrogates included."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Mapping | Pairs):
        pairs = value.items() if isinstance(value, Mapping) else value
        return "{" + ",".join(f"{json.dumps(k)}:{dump(v)}" for k, v in pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(dump, value)) + "]"
    return json.dumps(value)


def square(side: float, *, west: float = WEST, south: float = SOUTH) -> list[list[float]]:
    east, north = west + side, south + side
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def circle(corners: int) -> list[list[float]]:
    turns = [math.tau * k / corners for k in range(corners)]
    ring = [[round(WEST + 0.01 * math.cos(t), 7), round(SOUTH + 0.005 * math.sin(t), 7)] for t in turns]
    return [*ring, ring[0]]


_RINGS = (
    square(0.01), square(0.004), square(0.01)[:-1], square(0.01)[:2], square(0.01)[:1], [], square(0), square(1e-9),
    square(40), square(0.01, west=179.995), square(0.01, west=-180.005), square(0.01, south=89.995),
    square(0.01, south=83.99), square(0.01, west=360), [p[::-1] for p in square(0.01)], square(0.01)[::-1],
    [[WEST, SOUTH], [WEST + 1, SOUTH + 1], [WEST + 1, SOUTH], [WEST, SOUTH + 1], [WEST, SOUTH]],
    [[*p, 100] for p in square(0.01)], [[*p, 100, 5] for p in square(0.01)], [p[:1] for p in square(0.01)],
    [[*p, 0][: 2 + k % 2] for k, p in enumerate(square(0.01))], [[WEST, SOUTH]] * 4, square(0.01) * 3, circle(500),
    [[WEST, SOUTH], [WEST + 0.01, SOUTH], [WEST + 0.02, SOUTH], [WEST, SOUTH]],
    [[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]],
)  # fmt: skip


@st.composite
def _rings(draw: st.DrawFn) -> Any:
    ring = [list(p) for p in draw(st.sampled_from(_RINGS[:2] * 12 + _RINGS))]
    for _ in range(draw(st.sampled_from([0] * 9 + [1, 2]))):
        if ring:
            place = draw(st.integers(0, len(ring) - 1))
            ring[place] = draw(st.one_of(LEAVES, st.tuples(st.sampled_from(_ODD_NUMBERS), _FLOATS).map(list)))
    return ring


def _nested(depth: int) -> Raw:
    return Raw("[" * depth + "]" * depth)


def _coordinates(kind: str) -> st.SearchStrategy:
    polygons = st.one_of(st.lists(_rings(), min_size=1, max_size=1), st.lists(_rings(), max_size=3))
    right = {
        "Polygon": polygons,
        "MultiPolygon": st.lists(polygons, max_size=3),
        "Point": _rings().map(lambda r: r[:1]),
    }
    odd = st.one_of(VALUES, polygons, st.sampled_from([_nested(3), _nested(60), _nested(990), _nested(20_000)]))
    usual = right.get(kind, _rings())
    return st.integers(0, 11).flatmap(lambda n: usual if n else odd)


@st.composite
def geometries(draw: st.DrawFn, depth: int = 2) -> Any:
    """Return a geometry, mostly of the right shape and wrong in one place."""
    if draw(st.integers(0, 23)) == 0:
        return draw(VALUES)
    kind = draw(st.sampled_from(_TYPES[:2] * 5 + _TYPES))
    made: dict[str, Any] = {"type": kind, "coordinates": draw(_coordinates(kind))}
    if kind == "GeometryCollection":
        inner = st.lists(geometries(depth - 1), max_size=3) if depth else st.just([])
        made = {"type": kind, "geometries": draw(inner)}
    return draw(_members(made))


@st.composite
def _members(draw: st.DrawFn, made: dict[str, Any]) -> Any:
    """Now and then take a member away, name one twice, or give it another value."""
    change = draw(st.sampled_from(["none"] * 20 + ["drop", "twice", "other", "crs"]))
    name = draw(st.sampled_from(sorted(made)))
    if change == "drop":
        return {k: v for k, v in made.items() if k != name}
    if change == "twice":
        return Pairs([*made.items(), (name, draw(VALUES))])
    if change == "other":
        return made | {name: draw(VALUES)}
    return made | {"crs": draw(st.sampled_from(_CRS))} if change == "crs" else made


@st.composite
def features(draw: st.DrawFn) -> Any:
    """Return a feature with properties of all kinds."""
    names = st.one_of(st.sampled_from(["id", "name", "height"]), st.sampled_from(_ODD_TEXTS), st.text(max_size=9))
    tables = st.dictionaries(names, VALUES, max_size=3)
    table = draw(st.one_of(st.just({}), tables, tables, st.none()))
    geometry = draw(st.one_of(geometries(), geometries(), geometries(), st.none()))
    made = {"type": "Feature", "properties": table, "geometry": geometry}
    return draw(
        _members(made | draw(st.sampled_from([{}] * 9 + [{"properties": "x"}, {"id": "\ud800"}, {"bbox": [1] * 4}])))
    )


@st.composite
def areas(draw: st.DrawFn) -> Any:
    """Return what a client could send as an area of interest."""
    kind = draw(st.sampled_from(["geometry", "geometry", "feature", "collection", "bbox"]))
    if kind == "bbox":
        corners = [WEST, SOUTH, WEST + 0.01, SOUTH + 0.005]
        corners[draw(st.integers(0, 3))] = draw(LEAVES)
        return draw(_members({"bbox": corners}))
    if kind == "collection":
        made = {"type": "FeatureCollection", "features": draw(st.lists(features(), max_size=4))}
        return draw(_members(made))
    return draw(features() if kind == "feature" else geometries())


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Return the bytes of a GeoJSON file, at times cut off, of another encoding, or with bytes that are none."""
    text = dump(draw(areas()))
    change = draw(st.sampled_from(["none"] * 24 + ["cut", "cut", "bom", "utf-16", "latin", "behind", "byte", "long"]))
    data = text.encode("utf-8", "surrogatepass")
    if change == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if change == "byte":
        at = draw(st.integers(0, max(0, len(data) - 1)))
        return data[:at] + draw(st.binary(min_size=1, max_size=3)) + data[at + 1 :]
    odd = {"bom": b"\xef\xbb\xbf" + data, "utf-16": text.encode("utf-16", "replace"), "behind": data + b"]} x",
           "latin": data.replace(b"e", b"\xe9"), "long": b" " * 10_000 + data.replace(b",", b" \n\t,")}  # fmt: skip
    return odd.get(change, data)
