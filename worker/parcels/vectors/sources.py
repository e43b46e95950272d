"""Parcels and buildings as clients bring them: read, given ids, projected, and cut down to the area of interest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from jobs.area import Grid
from jobs.errors import BadVector, ParcelsOutsideArea
from jobs.record import Warned
from jobs.request import Parcels, Streets
from jobs.settings import Settings
from jobs.shapes import made_valid, polygons_of
from jobs.uploads import UploadStore
from models.errors import Fault
from worker.parcels.vectors.blocks import TAGS, borders_of, derive_blocks, enclosing
from worker.parcels.vectors.nearby import LINES, LONLAT, Nearby, degrees, meets
from worker.parcels.vectors.uploaded import Upload

# All parcels of an area are in memory at once while they are compared with each other and judged.
MOST_PARCELS: Final = 500_000
_NAMED = 40
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Polygons in the grid's CRS, in the order of their source, and what there is to warn of."""

    frame: gpd.GeoDataFrame
    warnings: tuple[Warned, ...]


def load_parcels(  # noqa: PLR0917 - where to look goes with what to look for
    wanted: Parcels, grid: Grid, area: BaseGeometry, uploads: UploadStore, settings: Settings, scratch: Path
) -> Loaded:
    """Return the parcels that touch `area` (in the grid's CRS) with columns parcel_id (str, unique) and geometry.

    Parcels that lie there only with x and y swapped are read so, with a warning. Derived ones are the blocks that the
    streets enclose. Raises BadVector, MissingCrs, UnknownUpload, and ParcelsOutsideArea if none touches the area.
    """
    if wanted.streets is not None:
        return _load_blocks(wanted.streets, grid, area, uploads, settings, scratch)
    field = wanted.id_field
    if wanted.upload is not None:
        source = Upload(wanted.upload, wanted.layer, "/inputs/parcels", uploads, scratch)
        read = source.reader([field] if field else [])
    else:
        inline = _read_features(wanted.features or [], field)
        read = lambda: [inline]  # noqa: E731 - the other branch of an assignment
    shapely.prepare(area)
    near = Nearby(read, grid, area, "parcels", lambda shapes: _touching(shapes, area), most=settings.max_features)
    frames = []
    for frame in near:
        frames.append(frame)
        if near.kept > MOST_PARCELS:
            detail = f"more than {MOST_PARCELS} parcels lie in the area of interest: map it in parts"
            raise BadVector(detail, faults=[Fault("/inputs/parcels", detail)])
    if not frames:
        raise _outside(near, grid, area)
    whole = pd.concat(frames)
    warnings: list[Warned] = []
    ids = _ids(whole, field, warnings)
    warnings.extend(near.warnings)
    left_out = near.fit - near.kept
    if left_out:
        text = f"{left_out} of {near.fit} parcels lie outside the area of interest and were left out"
        warnings.append(Warned(code="parcels-outside-area", detail=text))
    frame = gpd.GeoDataFrame({"parcel_id": ids}, geometry=whole.geometry.to_numpy(), crs=grid.crs)
    return Loaded(frame, tuple(warnings))


def _load_blocks(  # noqa: PLR0917 - where to look goes with what to look for
    streets: Streets, grid: Grid, area: BaseGeometry, uploads: UploadStore, settings: Settings, scratch: Path
) -> Loaded:
    source = Upload(streets.upload, streets.layer, "/inputs/parcels/streets", uploads, scratch)
    shapely.prepare(area)
    near = Nearby(
        source.reader([], (*TAGS, "tunnel")), grid, area, "streets",
        lambda shapes: np.asarray(shapely.intersects(area, made_valid(shapes))),
        kinds=LINES, most=settings.max_features,
    )  # fmt: skip
    found, passed = [], 0
    for frame in near:
        counts = enclosing(frame)
        passed += int((~counts).sum())
        found.append(borders_of(frame.geometry.to_numpy()[counts]))
    if not near.kept:
        raise _outside(near, grid, area)
    warnings = near.warnings
    if passed:
        text = f"{passed} of {near.kept} lines border no block (footways, service roads, ditches, ...); left out"
        warnings.append(Warned(code="streets-left-out", detail=text))
    lines = np.concatenate(found)
    if not len(lines):
        detail = "none of the lines in the area borders a block: all are footways, service roads, ditches or the like"
        raise BadVector(detail, faults=[Fault("/inputs/parcels/streets", detail)])
    blocks = derive_blocks(lines, area, grid.crs)
    return Loaded(blocks.frame, (*warnings, *blocks.warnings))


def _read_features(features: Sequence[Mapping[str, Any]], field: str | None) -> gpd.GeoDataFrame:
    geometries = [_feature_geometry(f, f"/inputs/parcels/features/{i}") for i, f in enumerate(features)]
    properties = [f.get("properties") for f in features]
    tables = [p if isinstance(p, Mapping) else {} for p in properties]
    frame = gpd.GeoDataFrame(geometry=geometries, crs=LONLAT)
    if field:
        names = sorted({str(name) for table in tables for name in table})
        if field not in names:
            there = f"the properties are {', '.join(names[:_NAMED])}" if names else "the features have no properties"
            detail = f"no feature has a property {field!r}; {there}"
            raise BadVector(detail, faults=[Fault("/inputs/parcels/id_field", detail)])
        frame[field] = pd.Series([table.get(field) for table in tables], dtype=object)
    return frame


def _feature_geometry(feature: Mapping[str, Any], pointer: str) -> BaseGeometry:
    if feature.get("type") != "Feature" or not isinstance(feature.get("geometry"), Mapping):
        raise _bad_feature("a GeoJSON Feature with a geometry is expected", pointer)
    value = feature["geometry"]
    if value.get("type") not in ("Polygon", "MultiPolygon"):  # a tuple: the value may be unhashable
        raise _bad_feature("a parcel is a Polygon or a MultiPolygon", f"{pointer}/geometry/type")
    try:
        geometry = shape({"type": value["type"], "coordinates": value["coordinates"]})
    except (
        ValueError,
        OverflowError,
        TypeError,
        IndexError,
        KeyError,
        AttributeError,
        shapely.errors.ShapelyError,
    ) as error:
        detail = "coordinates are not rings of [longitude, latitude] pairs, first equal to last"
        raise _bad_feature(detail, f"{pointer}/geometry/coordinates") from error
    corners = np.abs(shapely.get_coordinates(geometry))
    if not np.isfinite(corners).all() or (len(corners) and (corners.max(axis=0) > (180, 90)).any()):
        detail = "coordinates are [longitude, latitude] in degrees: within [-180, 180] and [-90, 90]"
        raise _bad_feature(detail, f"{pointer}/geometry/coordinates")
    return geometry


def _bad_feature(detail: str, pointer: str) -> BadVector:
    return BadVector(f"the parcels cannot be used: {detail}", faults=[Fault(pointer, detail)])


def _ids(frame: gpd.GeoDataFrame, field: str | None, warnings: list[Warned]) -> list[str]:
    """Return unique ids: what the field says, else the row in the file counted from 1."""
    rows = [int(row) + 1 for row in frame.index]
    if field is None:
        return [str(row) for row in rows]
    texts = [_text(value, row) for value, row in zip(frame[field], rows, strict=True)]
    unique = _unique(texts)
    changed = sum(a != b for a, b in zip(texts, unique, strict=True))
    if changed:
        text = f"{changed} parcels share the {field} of an earlier one; their ids got a suffix (#2, #3, ...)"
        warnings.append(Warned(code="duplicate-parcel-ids", detail=text))
    return unique


def _text(value: Any, row: int) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return f"row-{row}"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # integers with gaps arrive as floats
    return _CONTROL.sub(" ", str(value))


def _unique(texts: Sequence[str]) -> list[str]:
    taken, seen, result = set(texts), dict.fromkeys(texts, 0), []
    for text in texts:
        name = text
        seen[text] += 1
        while seen[text] > 1 and name in taken:
            name = f"{text}#{seen[text]}"
            seen[text] += name in taken
        taken.add(name)
        result.append(name)
    return result


def _touching(geometries: NDArray[np.object_], area: BaseGeometry) -> NDArray[np.bool_]:
    near = meets(shapely.bounds(geometries), area.bounds)
    near[near] = shapely.intersects(area, polygons_of(geometries[near]))
    return near


def _outside(near: Nearby, grid: Grid, area: BaseGeometry) -> ParcelsOutsideArea:
    what = "line of the streets" if near.what == "streets" else "parcel"
    detail = (
        f"no {what} touches the area of interest: the {near.what} span {near.spans()}, the area "
        f"{degrees(area.bounds, grid.crs)} (west, south, east, north in degrees); check their coordinate reference "
        "system"
    )
    return ParcelsOutsideArea(detail, faults=[Fault(near.pointer, detail)])
