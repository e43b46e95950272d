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
from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from jobs.area import Grid, project
from jobs.errors import BadVector, MissingCrs, ParcelsOutsideArea
from jobs.inspection import read_vector
from jobs.record import Warned
from jobs.request import Buildings, Parcels
from jobs.settings import Settings
from jobs.uploads import UploadStore
from models.errors import Fault
from worker.parcels.cleaning import polygons_of

LONLAT: Final = "EPSG:4326"
# Buildings this far outside the grid still count into the morphology windows of its border pixels.
BUILDING_MARGIN_METRES: Final = 500.0
TALLEST_METRES: Final = 1000.0
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

    Raises BadVector, MissingCrs, UnknownUpload, and ParcelsOutsideArea if none touches the area.
    """
    field = wanted.id_field
    if wanted.upload is not None:
        frame = _read_upload((wanted.upload, wanted.layer), field, "/inputs/parcels", uploads, settings, scratch)
    else:
        frame = _read_features(wanted.features or [], field)
    warnings: list[Warned] = []
    frame["parcel_id"] = _ids(frame, field, warnings)
    frame = _usable(frame[["parcel_id", "geometry"]], grid, "parcels", warnings)
    inside = _touching(frame.geometry.to_numpy(), area)
    if not inside.any():
        raise _outside(frame, grid, area)
    if not inside.all():
        text = f"{(~inside).sum()} of {len(frame)} parcels lie outside the area of interest and were left out"
        warnings.append(Warned(code="parcels-outside-area", detail=text))
    return Loaded(frame[inside].reset_index(drop=True), tuple(warnings))


def load_buildings(  # noqa: PLR0917 - where to look goes with what to look for
    wanted: Buildings, grid: Grid, area: BaseGeometry, uploads: UploadStore, settings: Settings, scratch: Path
) -> Loaded:
    """Return footprints in the grid's CRS with columns geometry and height (metres, NaN where unknown).

    Buildings up to 500 m outside the area's bounds are kept, as windows of border pixels see them. None left is a
    warning, not an error. Raises BadVector naming the numeric fields there are if `height_field` is not one of them.
    """
    field = wanted.height_field
    frame = _read_upload((wanted.upload, wanted.layer), field, "/inputs/buildings", uploads, settings, scratch)
    warnings: list[Warned] = []
    frame["height"] = _heights(frame, field, warnings)
    frame = _usable(frame[["height", "geometry"]], grid, "buildings", warnings)
    left, bottom, right, top = area.bounds
    margin = BUILDING_MARGIN_METRES
    near = _meets(frame.geometry.to_numpy(), (left - margin, bottom - margin, right + margin, top + margin))
    if not near.any():
        text = "no building lies near the area of interest: the map was made from imagery alone"
        warnings.append(Warned(code="no-buildings", detail=text))
    return Loaded(frame[near].reset_index(drop=True)[["geometry", "height"]], tuple(warnings))


def _read_upload(  # noqa: PLR0917 - where to look goes with what to look for
    source: tuple[str, str | None], field: str | None, pointer: str,
    uploads: UploadStore, settings: Settings, scratch: Path,
) -> gpd.GeoDataFrame:  # fmt: skip
    upload, layer = source
    record = uploads.read(upload)
    if record.kind != "vector":
        detail = f"upload {upload} is an image: name an upload of polygons"
        raise BadVector(detail, faults=[Fault(f"{pointer}/upload", detail)])
    path = uploads.local(upload, scratch)
    if field and layer is None and field not in record.facts.get("fields", [field]):
        raise _no_field(read_vector(path), field, pointer)
    frame = read_vector(path, columns=[field] if field else [], layer=layer)
    if frame.crs is None:
        raise MissingCrs(f"upload {upload} does not say which coordinate reference system it is in: add it")
    if len(frame) > settings.max_features:
        raise BadVector(f"upload {upload} holds {len(frame)} features; at most {settings.max_features} are accepted")
    return frame


def _no_field(frame: gpd.GeoDataFrame, field: str, pointer: str) -> BadVector:
    table = pd.DataFrame(frame.drop(columns=frame.geometry.name))
    numeric = pointer.endswith("buildings")
    names = [str(c) for c in (table.select_dtypes("number") if numeric else table).columns]
    kind, member = ("numeric fields", "height_field") if numeric else ("fields", "id_field")
    there = f"its {kind} are {', '.join(names[:_NAMED])}" if names else f"it has no {kind}"
    detail = f"there is no field {field!r} in the file; {there}"
    return BadVector(detail, faults=[Fault(f"{pointer}/{member}", detail)])


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
    if field is None:
        return [str(row) for row in range(1, len(frame) + 1)]
    texts = [_text(value, row) for row, value in enumerate(frame[field], start=1)]
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


def _heights(frame: gpd.GeoDataFrame, field: str, warnings: list[Warned]) -> NDArray[np.float64]:
    column = frame[field]
    values = np.asarray(pd.to_numeric(column, errors="coerce"), dtype=float)
    if len(values) and not np.isfinite(values).any():
        detail = f"no value of {field!r} is a number; a height in metres is expected"
        raise BadVector(detail, faults=[Fault("/inputs/buildings/height_field", detail)])
    given = np.asarray(column.notna())
    bad = given & ~((values >= 0) & (values <= TALLEST_METRES))
    if bad.any():
        text = f"{bad.sum()} of {len(values)} heights are negative, above {TALLEST_METRES:g} m or no numbers; ignored"
        warnings.append(Warned(code="bad-heights", detail=text))
    return np.where(bad, np.nan, values)


def _usable(frame: gpd.GeoDataFrame, grid: Grid, what: str, warnings: list[Warned]) -> gpd.GeoDataFrame:
    """Drop what is no polygon and project the rest into the grid's CRS."""
    kinds = {shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON, shapely.GeometryType.GEOMETRYCOLLECTION}
    raw = frame.geometry.to_numpy()
    keep = np.isin(shapely.get_type_id(raw), [int(k) for k in kinds]) & ~shapely.is_empty(raw)
    frame = frame[keep].to_crs(grid.crs)
    finite = np.isfinite(frame.geometry.bounds.to_numpy()).all(axis=1)
    if not finite.any():
        detail = f"the {what} hold no polygon that can be projected to {grid.crs}: send polygons"
        raise BadVector(detail, faults=[Fault(f"/inputs/{what}", detail)])
    lost = len(keep) - int(finite.sum())
    if lost:
        text = f"{lost} of {len(keep)} {what} are no polygons, are empty or cannot be projected; left out"
        warnings.append(Warned(code=f"unusable-{what}", detail=text))
    return frame[finite].reset_index(drop=True)


def _touching(geometries: NDArray[np.object_], area: BaseGeometry) -> NDArray[np.bool_]:
    near = _meets(geometries, area.bounds)
    shapely.prepare(area)
    near[near] = shapely.intersects(area, polygons_of(geometries[near]))
    return near


def _meets(geometries: NDArray[np.object_], bounds: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    west, south, east, north = shapely.bounds(geometries).T
    left, bottom, right, top = bounds
    return np.asarray((west <= right) & (east >= left) & (south <= top) & (north >= bottom))


def _outside(frame: gpd.GeoDataFrame, grid: Grid, area: BaseGeometry) -> ParcelsOutsideArea:
    theirs, ours = (_degrees(bounds, grid) for bounds in (frame.total_bounds, area.bounds))
    detail = (
        f"no parcel touches the area of interest: the parcels span {theirs}, the area {ours} "
        "(west, south, east, north in degrees); check their coordinate reference system"
    )
    return ParcelsOutsideArea(detail, faults=[Fault("/inputs/parcels", detail)])


def _degrees(bounds: Sequence[float], grid: Grid) -> str:
    values = project(box(*bounds), LONLAT, source=grid.crs).bounds
    return ", ".join(f"{value:.4f}" for value in values)
