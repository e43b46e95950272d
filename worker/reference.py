"""Reference data as clients bring it: points and polygons of known class, and what the map says where they lie."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from jobs.area import Grid, project
from jobs.errors import BadVector, MissingCrs
from jobs.inspection.vector import read_vector
from jobs.plan import Block
from jobs.record import Warned
from jobs.request import Reference
from jobs.settings import Settings
from jobs.shapes import polygons_of
from jobs.uploads import UploadStore
from models.classes import GEOCLIMATE_CODES, LOCAL_CLIMATE_ZONES, MapClass
from models.errors import Fault

POINTER: Final = "/inputs/reference"
LONLAT: Final = "EPSG:4326"
_EXAMPLES: Final = 5
_SHOWN: Final = 30
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_PREFIX: Final = re.compile(r"^lcz[\s_-]*")

Codes = NDArray[np.int16]
Counts = NDArray[np.int64]
Reader = Callable[[slice, slice], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class LoadedReference:
    """Features in the grid's CRS with columns class_code (int16) and geometry, and what there is to warn of.

    Geometries are points and valid polygons, cut to the area of interest.
    """

    frame: gpd.GeoDataFrame
    warnings: tuple[Warned, ...]


def load_reference(  # noqa: PLR0917 - where to look goes with what to look for
    wanted: Reference, classes: tuple[MapClass, ...], grid: Grid, area: BaseGeometry,
    uploads: UploadStore, settings: Settings, scratch: Path,
) -> LoadedReference:  # fmt: skip
    """Return the reference features inside `area` (in the grid's CRS) whose class is one of `classes`.

    Raises BadVector where the field is missing, no value names a class, or nothing lies in the area; MissingCrs,
    UnknownUpload. Features that are of no use beside others that are, are left out with a warning.
    """
    field = wanted.class_field or ("lcz" if classes == LOCAL_CLIMATE_ZONES else "class")
    frame = _read(wanted, field, uploads, settings, scratch)
    warnings: list[Warned] = []
    codes = _codes(frame[field], field, classes, warnings)
    shapes = frame.geometry.to_numpy()[codes > 0]
    known = gpd.GeoDataFrame({"class_code": codes[codes > 0]}, geometry=shapes, crs=frame.crs)
    usable = _usable(known, grid, warnings)
    return LoadedReference(_inside(usable, grid, area, warnings), tuple(warnings))


def class_codes(values: Iterable[Any], classes: tuple[MapClass, ...]) -> Codes:
    """Return the raster code each value names (n,), 0 where it names none.

    Understood: codes, labels and names of `classes` in any case, "LCZ" before any of them, and for Local Climate Zones
    GeoClimate's 101-107. 1-10 are code and label alike.
    """
    table = _vocabulary(classes)
    return np.array([table.get(_word(value), 0) for value in values], np.int16)


def count_mapped(frame: gpd.GeoDataFrame, mapped: Reader, grid: Grid, blocks: Sequence[Block], classes: int) -> Counts:
    """Count the map's pixels under each feature: (n, classes + 1), column 0 for pixels without a class.

    `mapped` returns the class codes (y, x) of a window of `grid`, by row and column slices. A point counts the pixel it
    lies in; a polygon the pixels whose centre it holds, of which each belongs to one polygon only (the later row, where
    they overlap); one that holds no centre counts the pixel at a point inside it.
    """
    counts = np.zeros((len(frame), classes + 1), np.int64)
    shapes = frame.geometry.to_numpy()
    is_point = shapely.get_type_id(shapes) == shapely.GeometryType.POINT
    _count_polygons(counts, np.flatnonzero(~is_point), shapes, (mapped, grid, blocks))
    single = np.flatnonzero(is_point | (counts.sum(axis=1) == 0))
    places = shapely.point_on_surface(shapes[single])
    columns = np.floor((shapely.get_x(places) - grid.left) / grid.resolution).astype(np.int64)
    rows = np.floor((grid.top - shapely.get_y(places)) / grid.resolution).astype(np.int64)
    columns, rows = np.clip(columns, 0, grid.width - 1), np.clip(rows, 0, grid.height - 1)
    codes = np.zeros(len(single), np.uint8)
    for block in blocks:
        down, across = block.slices
        here = (rows >= down.start) & (rows < down.stop) & (columns >= across.start) & (columns < across.stop)
        if here.any():
            codes[here] = mapped(down, across)[rows[here] - down.start, columns[here] - across.start]
    counts[single, codes] += 1
    return counts


def _count_polygons(
    counts: Counts, rows: NDArray[np.intp], shapes: NDArray[np.object_], over: tuple[Reader, Grid, Sequence[Block]]
) -> None:
    mapped, grid, blocks = over
    if not len(rows):
        return
    tree = shapely.STRtree(shapes[rows])
    for block in blocks:
        window = grid.window(block.row, block.column, block.height, block.width)
        near = np.sort(rows[tree.query(shapely.box(*window.bounds))])
        if not len(near):
            continue
        burnt = np.full(window.shape, -1, np.int32)
        rasterize([(shapes[row], int(row)) for row in near], out=burnt, transform=window.transform)
        held = burnt >= 0
        np.add.at(counts, (burnt[held], mapped(*block.slices)[held]), 1)


def _read(wanted: Reference, field: str, uploads: UploadStore, settings: Settings, scratch: Path) -> gpd.GeoDataFrame:
    record = uploads.read(wanted.upload)
    if record.kind != "vector":
        detail = f"upload {wanted.upload} is an image: reference data are points or polygons with a class each"
        raise BadVector(detail, faults=[Fault(f"{POINTER}/upload", detail)])
    try:
        path = uploads.local(wanted.upload, scratch)
        frame = read_vector(path, columns=[field], layer=wanted.layer)
    except BadVector as error:
        if "has no field" not in error.detail:
            raise
        detail = f"{error.detail}; name the field of the classes in inputs.reference.class_field"
        raise BadVector(detail, faults=[Fault(f"{POINTER}/class_field", error.detail)]) from error
    if frame.crs is None:
        raise MissingCrs(f"upload {wanted.upload} does not say which coordinate reference system it is in: add it")
    if len(frame) > settings.max_features:
        detail = f"the reference data hold {len(frame)} features; at most {settings.max_features} are accepted"
        raise BadVector(detail, faults=[Fault(f"{POINTER}/upload", detail)])
    return frame


def _codes(values: pd.Series[Any], field: str, classes: tuple[MapClass, ...], warnings: list[Warned]) -> Codes:
    codes = class_codes(values, classes)
    strange = values[codes == 0]
    if not len(strange):
        return codes
    texts = ("" if missing else str(value) for value, missing in zip(strange, strange.isna(), strict=True))
    examples = list(dict.fromkeys(_CONTROL.sub(" ", text)[:_SHOWN] for text in texts))[:_EXAMPLES]
    shown = ", ".join(map(repr, examples))
    understood = f"known are {_told(classes)}"
    if len(strange) == len(codes):
        detail = f"no value of {field!r} names a class (for example {shown}); {understood}"
        raise BadVector(detail, faults=[Fault(f"{POINTER}/class_field", detail)])
    text = f"{len(strange)} of {len(codes)} reference features have a {field!r} that names no class ({shown}); "
    warnings.append(Warned(code="unknown-reference-classes", detail=f"{text}{understood}; they were left out"))
    return codes


def _told(classes: tuple[MapClass, ...]) -> str:
    if classes == LOCAL_CLIMATE_ZONES:
        return "the codes 1-17, the labels 1-10 and A-G, and 101-107"
    return f"the codes {classes[0].code}-{classes[-1].code} and {', '.join(c.label for c in classes)}"


def _vocabulary(classes: tuple[MapClass, ...]) -> Mapping[str, int]:
    names = {name.casefold(): c.code for c in classes for name in (c.name, c.label, str(c.code))}
    if classes == LOCAL_CLIMATE_ZONES:
        names |= {str(theirs): ours for ours, theirs in GEOCLIMATE_CODES.items()}
    return names


def _word(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # integers with gaps arrive as floats
    text = _PREFIX.sub("", str(value).strip().casefold())
    return text.removesuffix(".0")


def _usable(frame: gpd.GeoDataFrame, grid: Grid, warnings: list[Warned]) -> gpd.GeoDataFrame:
    """Keep points (of several, each) and polygons with an inside, and project them."""
    raw = frame.geometry.to_numpy()
    kinds = {shapely.GeometryType.POINT, shapely.GeometryType.MULTIPOINT,
             shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON}  # fmt: skip
    keep = np.isin(shapely.get_type_id(raw), [int(k) for k in kinds]) & ~shapely.is_empty(raw)
    placed = frame[keep].to_crs(grid.crs)
    finite = np.isfinite(placed.geometry.bounds.to_numpy()).all(axis=1)
    placed = placed[finite]
    lost = len(frame) - len(placed)
    if placed.empty:
        detail = f"the reference data hold no point or polygon that can be projected to {grid.crs}"
        raise BadVector(detail, faults=[Fault(f"{POINTER}/upload", detail)])
    if lost:
        text = f"{lost} of {len(frame)} reference features are no points or polygons, or have no place; left out"
        warnings.append(Warned(code="unusable-reference", detail=text))
    several = shapely.get_type_id(placed.geometry.to_numpy()) == shapely.GeometryType.MULTIPOINT
    split = placed[several].explode(index_parts=False) if several.any() else placed[several]
    return gpd.GeoDataFrame(pd.concat([placed[~several], split]), geometry="geometry", crs=grid.crs)


def _inside(frame: gpd.GeoDataFrame, grid: Grid, area: BaseGeometry, warnings: list[Warned]) -> gpd.GeoDataFrame:
    shapes = shapely.force_2d(frame.geometry.to_numpy())
    polygon = shapely.get_type_id(shapes) != shapely.GeometryType.POINT
    shapes[polygon] = polygons_of(shapes[polygon])
    shapely.prepare(area)
    inside = shapely.intersects(area, shapes)
    if not inside.any():
        detail = (
            f"no reference feature lies in the area of interest: they span {_degrees(frame.total_bounds, grid)}, the "
            f"area {_degrees(area.bounds, grid)} (west, south, east, north in degrees); check their CRS"
        )
        raise BadVector(detail, faults=[Fault(f"{POINTER}/upload", detail)])
    if not inside.all():
        text = f"{(~inside).sum()} of {len(inside)} reference features lie outside the area of interest; left out"
        warnings.append(Warned(code="reference-outside-area", detail=text))
    crossing = inside & polygon & ~shapely.covers(area, shapes)
    shapes[crossing] = polygons_of(shapely.intersection(shapes[crossing], area))
    inside &= ~shapely.is_empty(shapes)
    columns = {"class_code": frame["class_code"].to_numpy()[inside]}
    return gpd.GeoDataFrame(columns, geometry=shapes[inside], crs=grid.crs)


def _degrees(bounds: Sequence[float], grid: Grid) -> str:
    shown = project(box(*bounds).buffer(grid.resolution), LONLAT, source=grid.crs).bounds
    return ", ".join(f"{value:.4f}" for value in shown)
