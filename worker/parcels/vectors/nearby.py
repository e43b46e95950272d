"""Features of any file that lie near an area: read chunk by chunk, judged, projected, and what was left out counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from jobs.area import Grid, drawn, project
from jobs.errors import BadVector
from jobs.record import Warned
from jobs.shapes import POLYGONS, finite, flattened, made_valid, polygons_of, usable
from models.errors import Fault

LONLAT: Final = "EPSG:4326"
LINES: Final = (
    *POLYGONS,
    shapely.GeometryType.LINESTRING,
    shapely.GeometryType.LINEARRING,
    shapely.GeometryType.MULTILINESTRING,
)
# Degrees or metres: shapes wider than the second are given points at least every first before they are projected,
# since their long edges bend; what lies farther than the third from the area is cut off, as no projection reaches it.
_STEP: Final = (0.01, 1000.0)
_WIDE: Final = (0.05, 5000.0)
_FAR: Final = (2.0, 200_000.0)
_MOST_POINTS: Final = 100_000  # that one shape is given
_TURN: Final = 360.0
_EARTH: Final = 1e8  # metres; nothing is that wide

Geometries = NDArray[np.object_]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
Bounds = tuple[float, float, float, float]


@dataclass(slots=True)
class Nearby:
    """Iterates over frames in the grid's CRS, index: row in the file from 0; afterwards says what was left out.

    `read` opens the source from its start, and is called again where nothing lies near unless x and y are swapped.
    `kinds` are the types of geometry wanted, `keeps` picks from an array of projected geometries those that matter,
    all of them within `reach` metres of the area's bounds. `most` is how many features the source may hold.
    """

    read: Callable[[], Iterable[gpd.GeoDataFrame]]
    grid: Grid
    area: BaseGeometry
    what: str
    keeps: Callable[[Geometries], Mask]
    kinds: Sequence[int] = POLYGONS
    reach: float = 0.0
    most: int | None = None
    features: int = 0
    fit: int = 0
    kept: int = 0
    cut: int = 0
    swapped: bool = False
    extent: Numbers = field(default_factory=lambda: np.array([np.inf, np.inf, -np.inf, -np.inf]))
    _mirrored: int = 0
    _crs: CRS | None = None

    def __iter__(self) -> Iterator[gpd.GeoDataFrame]:
        """Yield what lies near, with the source's columns; raises BadVector where nothing can be used at all."""
        for frame in self.read():
            fits = usable(frame.geometry.to_numpy(), self.kinds)
            self._count(frame, fits)
            yield from self._near(frame[fits])
        if not self.fit:
            verb = "polygon" if tuple(self.kinds) == POLYGONS else "line"
            detail = f"the {self.what} hold no {verb} that can be projected to {self.grid.crs}: send {verb}s"
            raise BadVector(detail, faults=[Fault(self.pointer, detail)])
        if not self.kept and self._mirrored:
            self.swapped = True
            for frame in self.read():
                fitting = frame[usable(frame.geometry.to_numpy(), self.kinds)]
                turned = gpd.GeoSeries(_swapped(fitting.geometry.to_numpy()), index=fitting.index, crs=frame.crs)
                yield from self._near(fitting.set_geometry(turned))
            self.swapped = self.kept > 0

    @property
    def pointer(self) -> str:
        """Where in the request the source is named."""
        return "/inputs/parcels/streets" if self.what == "streets" else f"/inputs/{self.what}"

    @property
    def warnings(self) -> list[Warned]:
        """What there is to tell once all was read."""
        told = []
        if self.swapped:
            text = (
                f"the {self.what} lie in the area of interest only with x and y swapped (latitude before longitude, or "
                "northing before easting): they were read so; export them with x first"
            )
            told.append(Warned(code=f"{self.what}-axes-swapped", detail=text))
        if self.features > self.fit:
            text = (
                f"{self.features - self.fit} of {self.features} {self.what} are of another type than wanted, empty, "
                "hopelessly tangled or cannot be projected; left out"
            )
            told.append(Warned(code=f"unusable-{self.what}", detail=text))
        if self.cut:
            text = f"{self.cut} {self.what} reach hundreds of kilometres beyond the area of interest and were cut there"
            told.append(Warned(code=f"{self.what}-cut", detail=text))
        return told

    def spans(self) -> str:
        """Return the extent of all that could be used, in degrees, for messages."""
        if self._crs is None:
            return "nowhere"
        return degrees(self.extent, self._crs)

    def _count(self, frame: gpd.GeoDataFrame, fits: Mask) -> None:
        self.features += len(frame)
        if self.most is not None and self.features > self.most:
            detail = f"the {self.what} are more than {self.most} features: send fewer"
            raise BadVector(detail, faults=[Fault(self.pointer, detail)])
        self._crs = frame.crs
        bounds = shapely.bounds(frame.geometry.to_numpy()[fits])
        self.fit += len(bounds)
        if len(bounds):
            self.extent[:2] = np.minimum(self.extent[:2], bounds[:, :2].min(axis=0))
            self.extent[2:] = np.maximum(self.extent[2:], bounds[:, 2:].max(axis=0))
            self._mirrored += int(self._around(bounds[:, [1, 0, 3, 2]], frame.crs).sum())

    def _near(self, frame: gpd.GeoDataFrame) -> Iterator[gpd.GeoDataFrame]:
        shapes = frame.geometry.to_numpy()
        near = self._around(shapely.bounds(shapes), frame.crs)
        if not near.any():
            return
        frame = frame[near]
        shapes = self._fitted(flattened(shapes[near]), frame.crs)
        projected = gpd.GeoSeries(shapes, index=frame.index, crs=frame.crs).to_crs(self.grid.crs)
        frame = frame.set_geometry(projected)
        keep = finite(projected.to_numpy())
        self.fit -= 0 if self.swapped else int((~keep).sum())
        keep[keep] = self.keeps(projected.to_numpy()[keep])
        self.kept += int(keep.sum())
        if keep.any():
            yield frame[keep]

    def _around(self, bounds: Numbers, crs: CRS) -> Mask:
        """Return which bounds in the source's CRS may be near the area; generously, for edges that bend."""
        window = _window(self.grid, self.area.bounds, self.reach, crs)
        if window is None:
            return np.ones(len(bounds), bool)
        turns = (0.0, -_TURN, _TURN) if crs.is_geographic else (0.0,)
        shifted = [meets(bounds + np.array([turn, 0, turn, 0]), window) for turn in turns]
        return np.asarray(np.logical_or.reduce(shifted))

    def _fitted(self, shapes: Geometries, crs: CRS) -> Geometries:
        """Cut and refine shapes so large that projecting their corners alone would bend them out of place."""
        unit = 0 if crs.is_geographic else 1
        bounds = shapely.bounds(shapes)
        wide = (bounds[:, 2:] - bounds[:, :2]).max(axis=1) > _WIDE[unit]
        window = _window(self.grid, self.area.bounds, self.reach, crs)
        if window is None or not wide.any():
            return shapes
        shapes = shapes.copy()
        west, south, east, north = window
        frame = shapely.box(west - _FAR[unit], south - _FAR[unit], east + _FAR[unit], north + _FAR[unit])
        far = wide & ~shapely.covers(frame, shapely.box(*bounds.T))
        if far.any():
            mend = polygons_of if tuple(self.kinds) == POLYGONS else made_valid
            whole = mend(shapes[far])
            shapes[far] = shapely.intersection(whole, frame)
            self.cut += int(far.sum())
        step = np.maximum(_STEP[unit], shapely.length(shapes[wide]) / _MOST_POINTS)
        shapes[wide] = shapely.segmentize([drawn(shape) for shape in shapes[wide]], step)
        return shapes


def meets(bounds: Numbers, window: Bounds) -> Mask:
    """Return which bounds (n, 4) touch a window: left, bottom, right, top."""
    west, south, east, north = bounds.T
    left, bottom, right, top = window
    return np.asarray((west <= right) & (east >= left) & (south <= top) & (north >= bottom))


def degrees(bounds: Iterable[float], crs: Any) -> str:
    """Return bounds as text: west, south, east, north in degrees."""
    west, south, east, north = bounds
    if CRS.from_user_input(crs).is_geographic:
        return ", ".join(f"{value:.4f}" for value in (west, south, east, north))
    if not max(east - west, north - south) < _EARTH:
        return "nowhere on the Earth"
    points = shapely.get_coordinates(project(shapely.box(west, south, east, north), LONLAT, source=crs))
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return "nowhere on the Earth"
    return ", ".join(f"{value:.4f}" for value in (*points.min(axis=0), *points.max(axis=0)))


def _window(grid: Grid, bounds: Bounds, reach: float, crs: CRS) -> Bounds | None:
    """Return the area's bounds, widened, in a CRS; None where they cannot be told in it."""
    left, bottom, right, top = bounds
    slack = reach + 500.0 + 0.1 * max(right - left, top - bottom)
    transformer = Transformer.from_crs(grid.crs, crs, always_xy=True)
    found = transformer.transform_bounds(left - slack, bottom - slack, right + slack, top + slack)
    west, south, east, north = (float(v) for v in found)
    if not np.isfinite((west, south, east, north)).all() or west > east:
        return None
    return west, south, east, north


def _swapped(shapes: Geometries) -> Geometries:
    turned: Geometries = shapely.transform(shapes, lambda points: points[:, ::-1])
    return turned
