"""The vector layers of a city's folder: buildings with heights, streets, land use and the square kilometres sampled."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyogrio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FieldError

from models.errors import CityzonesError
from models.morphology import DEFAULT_HEIGHT, MAX_HEIGHT, RESOLUTION, burn

STREETS: Final = ("major", "minor", "rail", "water")
LANDUSE: Final = ("residential", "industrial", "forest", "farmland", "grass", "water")
STOREY: Final = 3.0  # metres
MAX_FEATURES: Final = 5_000_000

# Metres, for a building that tells neither height nor storeys, by its OSM tag; all others have DEFAULT_HEIGHT. They
# are the usual storeys of the kind times STOREY, not a city's own: a network must meet the same rule everywhere.
CLASS_HEIGHTS: Final = {
    "apartments": 15.0, "dormitory": 15.0, "hotel": 15.0, "hospital": 15.0, "office": 15.0, "university": 12.0,
    "school": 9.0, "public": 9.0, "civic": 9.0, "commercial": 9.0, "church": 15.0, "cathedral": 25.0,
    "industrial": 9.0, "warehouse": 9.0, "retail": 6.0, "supermarket": 6.0,
    "garage": 3.0, "garages": 3.0, "carport": 3.0, "shed": 3.0, "kiosk": 3.0, "roof": 4.0, "greenhouse": 3.0,
    "bungalow": 4.0, "hut": 3.0, "cabin": 3.0, "service": 3.0, "static_caravan": 3.0,
}  # fmt: skip
NOT_BUILT: Final = frozenset({"proposed", "demolished", "razed", "no"})

_HIGHWAYS: Final = {
    **dict.fromkeys(("motorway", "trunk", "primary", "secondary", "tertiary"), 0),
    **dict.fromkeys(("motorway_link", "trunk_link", "primary_link", "secondary_link", "tertiary_link"), 0),
    **dict.fromkeys(("residential", "living_street", "unclassified", "service", "road", "pedestrian"), 1),
}
_RAILWAYS: Final = dict.fromkeys(("rail", "tram", "light_rail", "narrow_gauge", "monorail"), 2)
_WATERWAYS: Final = dict.fromkeys(("river", "canal", "stream", "ditch", "drain"), 3)

_GROUNDS: Final = {
    "landuse": {
        "residential": 0, "garages": 0,
        **dict.fromkeys(("industrial", "commercial", "retail", "railway", "harbour", "port", "quarry", "landfill"), 1),
        **dict.fromkeys(("construction", "brownfield", "depot"), 1),
        "forest": 2, "logging": 2,
        **dict.fromkeys(("farmland", "farmyard", "orchard", "vineyard", "greenhouse_horticulture"), 3),
        **dict.fromkeys(("plant_nursery", "animal_keeping"), 3),
        **dict.fromkeys(("grass", "meadow", "recreation_ground", "village_green", "cemetery", "allotments"), 4),
        **dict.fromkeys(("churchyard", "greenfield"), 4),
        **dict.fromkeys(("reservoir", "basin"), 5),
    },
    "natural": {"wood": 2, "scrub": 4, "grassland": 4, "heath": 4, "wetland": 4, "water": 5, "bay": 5},
    "leisure": dict.fromkeys(("park", "garden", "pitch", "golf_course", "common", "dog_park", "nature_reserve"), 4),
}  # fmt: skip

_NUMBER: Final = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*(m|metres|meters)?\s*", re.IGNORECASE)
_STEP: Final = 2.5  # metres between the points a line is counted by


class BadCity(CityzonesError):
    """A city's folder lacks a file, or one of its files is not what its name says."""

    code = "bad-city"


@dataclass(frozen=True, slots=True)
class Kilometres:
    """The square kilometres a city was sampled in: polygons (n,) and whether their OSM layers are complete (n,)."""

    polygons: NDArray[np.object_]
    mapped: NDArray[np.bool_]

    def containing(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return which polygon holds each point (..., [x, y]); -1 where none does, the first where several do."""
        flat = shapely.points(points.reshape(-1, 2))
        found = np.full(len(flat), len(self.polygons), dtype=np.int32)
        which, polygon = shapely.STRtree(self.polygons).query(flat, predicate="intersects")
        np.minimum.at(found, which, polygon.astype(np.int32))
        return np.where(found == len(self.polygons), -1, found).reshape(points.shape[:-1]).astype(np.int32)


def read_kilometres(path: Path, crs: Any) -> Kilometres:
    """Read the sampled squares and their `osm_available`; raises BadCity."""
    frame = _read(path, None, crs)
    if "osm_available" not in frame.columns:
        raise BadCity(f"{path.name} lacks the property osm_available (true or false for each square)")
    polygons = np.asarray(frame.geometry.array, dtype=object)
    if not len(polygons) or not np.isin(shapely.get_type_id(polygons), (3, 6)).all():
        raise BadCity(f"{path.name} must hold polygons, one for each square kilometre")
    # Writers differ: true, 1 or "True"; what is none of these is not mapped.
    mapped = [str(value).strip().lower() in {"true", "1", "1.0", "t", "yes"} for value in frame["osm_available"]]
    return Kilometres(polygons, np.array(mapped, dtype=bool))


def read_buildings(
    path: Path, crs: Any, bounds: tuple[float, float, float, float]
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Read the layer `buildings` within bounds: footprints (n,), and heights (n,) in metres by `building_heights`."""
    frame = _read(path, "buildings", crs)
    lacking = {"building", "height", "levels"} - set(frame.columns)
    if lacking:
        raise BadCity(f"{path.name}: its layer buildings lacks the field {min(lacking)}")
    near = shapely.box(*bounds)
    frame = frame[~frame["building"].isin(NOT_BUILT)]
    footprints = np.asarray(frame.geometry.array, dtype=object)
    use = shapely.intersects(shapely.box(*shapely.bounds(footprints).T), near)
    heights = building_heights(frame["height"], frame["levels"], frame["building"])
    return footprints[use], heights[use]


def building_heights(heights: Iterable[Any], levels: Iterable[Any], kinds: Iterable[Any]) -> NDArray[np.float64]:
    """Return metres (n,): the height as tagged, else levels x STOREY, else what is usual for the kind of building."""
    found = []
    for height, level, kind in zip(heights, levels, kinds, strict=True):
        tall, storeys = _number(height), _number(level)
        if 0 < tall <= MAX_HEIGHT:
            found.append(tall)
        elif 0 < storeys * STOREY <= MAX_HEIGHT:
            found.append(storeys * STOREY)
        else:
            found.append(CLASS_HEIGHTS.get(kind, DEFAULT_HEIGHT))
    return np.array(found, dtype=np.float64)


def street_metres(path: Path, crs: Any, transform: Affine, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return (4, y, x) metres of line of each of STREETS in a pixel, over 10: 1 is a line straight across."""
    frame = _read(path, "lines", crs)
    kinds = np.full(len(frame), -1)
    for field, table in (("highway", _HIGHWAYS), ("railway", _RAILWAYS), ("waterway", _WATERWAYS)):
        kinds = _coded(kinds, frame, field, table, path)
    geometries = np.asarray(frame.geometry.array, dtype=object)
    out = np.zeros((len(STREETS), *shape), dtype=np.float32)
    for kind in range(len(STREETS)):
        points, metres = _points_along(geometries[kinds == kind])
        columns = np.floor((points[:, 0] - transform.c) / RESOLUTION).astype(np.int64)
        rows = np.floor((transform.f - points[:, 1]) / RESOLUTION).astype(np.int64)
        inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        np.add.at(out[kind], (rows[inside], columns[inside]), (metres[inside] / RESOLUTION).astype(np.float32))
    return out


def landuse_shares(path: Path, crs: Any, transform: Affine, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return (6, y, x): the share of each pixel under each of LANDUSE, to a quarter."""
    frame = _read(path, "landuse", crs)
    kinds = np.full(len(frame), -1)
    for field, table in _GROUNDS.items():
        kinds = _coded(kinds, frame, field, table, path)
    geometries = np.asarray(frame.geometry.array, dtype=object)
    fine, origin = (2 * shape[0], 2 * shape[1]), (transform.c, transform.f)
    out = np.zeros((len(LANDUSE), *shape), dtype=np.float32)
    for kind in range(len(LANDUSE)):
        parts = shapely.get_parts(geometries[kinds == kind])
        parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
        burnt = burn(parts[~shapely.is_empty(parts)], np.ones(len(parts)), origin, RESOLUTION / 2, fine)
        out[kind] = burnt.reshape(shape[0], 2, shape[1], 2).mean(axis=(1, 3))
    return out


def _coded(kinds: NDArray[np.int64], frame: Any, field: str, table: dict[str, int], path: Path) -> NDArray[np.int64]:
    """Code the features of a field that no earlier field has coded."""
    if field not in frame.columns:
        raise BadCity(f"{path.name} lacks the field {field}")
    found = np.array([table.get(value, -1) for value in frame[field]], dtype=np.int64)
    return np.where(kinds >= 0, kinds, found)


def _points_along(lines: NDArray[np.object_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cut every segment into equal pieces of at most _STEP metres: their middles (n, 2) and lengths (n,)."""
    xy, owner = shapely.get_coordinates(shapely.get_parts(lines), return_index=True)
    same = np.flatnonzero(owner[1:] == owner[:-1])
    start, along = xy[same], xy[same + 1] - xy[same]
    length = np.hypot(along[:, 0], along[:, 1])
    pieces = np.maximum(np.ceil(length / _STEP), 1).astype(np.int64)
    segment = np.repeat(np.arange(len(same)), pieces)
    place = np.arange(len(segment)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    share = (place + 0.5) / pieces[segment]
    return start[segment] + along[segment] * share[:, None], (length / pieces)[segment]


def _number(value: Any) -> float:
    """Return the number a tag tells, in metres or storeys; 0 where it tells none."""
    if isinstance(value, (int, float)):
        return float(value) if np.isfinite(value) else 0.0
    told = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    return float(told[1].replace(",", ".")) if told else 0.0


def _read(path: Path, layer: str | None, crs: Any) -> Any:
    """Read a layer in the city's CRS, without empty geometries; raises BadCity."""
    if not path.is_file():
        raise BadCity(f"{path.parent} lacks {path.name}")
    try:
        frame = pyogrio.read_dataframe(path, layer=layer, max_features=MAX_FEATURES)
    except (DataSourceError, DataLayerError, FieldError, ValueError, OSError) as error:
        raise BadCity(f"{path.name} cannot be read as a vector file: {error}") from error
    if "geometry" not in frame.columns or frame.crs is None:
        raise BadCity(f"{path.name} has no geometries, or does not say their CRS")
    frame = frame[~(frame.geometry.isna() | frame.geometry.is_empty)]
    return frame if frame.crs == crs else frame.to_crs(crs)
