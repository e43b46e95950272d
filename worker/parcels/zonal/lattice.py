"""Where a window lies on the whole grid's lattice of pixels, and polygons as vertices on that lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from jobs.area import Grid
from worker.parcels.zonal.kernel import Rings, Window, place, turn

# Farther from the origin than this, in pixels, a coordinate is taken to be of another CRS.
REACH: Final = 1e12
# Windows farther than this from a lattice through (0, 0) keep their own corner as origin: digits would be lost.
_FARTHEST: Final = 1 << 24
_OFF_PIXEL: Final = 1e-6
_ROWS_TOGETHER: Final = 32
# The work of a vertex, in cells.
_VERTEX: Final = 16.0


@dataclass(frozen=True, slots=True)
class Lattice:
    """A window of a north-up grid: the whole grid's corner and pixel size in CRS units, the window's place on it."""

    left: float
    top: float
    dx: float
    dy: float
    window: Window

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top of the window, in CRS units."""
        left, top = self.left + self.window.column * self.dx, self.top - self.window.row * self.dy
        return left, top - self.window.height * self.dy, left + self.window.width * self.dx, top


def lattice_of(grid: Grid | Affine, shape: tuple[int, int], origin: tuple[float, float] | None) -> Lattice:
    """Return the lattice of a window of `shape` (rows, columns).

    `grid` is the window's grid or its affine transform; `origin` the left and top of the whole grid that windows were
    cut from. Without it the lattice runs through (0, 0) as near as whole pixels allow: the same for all windows whose
    corners are whole multiples of the pixel size, as those of `jobs.area.utm_grid` are.
    Raises ValueError for a rotated or south-up transform, and where the window is not whole pixels from the origin.
    """
    if isinstance(grid, Grid) and grid.shape != shape:
        msg = f"the raster of {shape[0]} x {shape[1]} pixels does not fit the grid of {grid.height} x {grid.width}"
        raise ValueError(msg)
    transform = grid.transform if isinstance(grid, Grid) else grid
    values = (transform.a, transform.b, transform.c, transform.d, transform.e, transform.f)
    if transform.b != 0 or transform.d != 0:
        msg = "the grid is rotated or sheared: warp the raster to a north-up grid first"
        raise ValueError(msg)
    if not (transform.a > 0 and transform.e < 0 and np.isfinite(values).all()):
        msg = "the grid is not north-up (columns to the east, rows to the south): flip the raster and its transform"
        raise ValueError(msg)
    left, top, dx, dy = transform.c, transform.f, transform.a, -transform.e
    if origin is None:
        columns, rows = round(left / dx), round(top / dy)
        far = max(abs(columns), abs(rows)) > _FARTHEST
        origin = (left, top) if far else (left - columns * dx, top - rows * dy)
    column, row = (left - origin[0]) / dx, (origin[1] - top) / dy
    if not (abs(column - round(column)) <= _OFF_PIXEL and abs(row - round(row)) <= _OFF_PIXEL):
        msg = f"the window begins {column:.6f} columns and {row:.6f} rows from the origin: cut windows at whole pixels"
        raise ValueError(msg)
    return Lattice(origin[0], origin[1], dx, dy, Window(round(row), round(column), *shape))


def rings_of(polygons: NDArray[np.object_], lattice: Lattice) -> tuple[Rings, NDArray[np.intp], NDArray[np.float64]]:
    """Return the polygons that may touch the window as rings, their rows in `polygons`, a guess at each part's work.

    The rings' `owner` counts along the rows returned. The parts of a polygon follow one another, and polygons go by
    place, those of one ring first, so that neighbours are read one after another.
    None and empty geometries are left out. Raises ValueError for a geometry that is not a Polygon or MultiPolygon, and
    for a coordinate that is not finite or lies farther than 10^12 pixels away.
    """
    near, cells = _near(polygons, lattice)
    chosen = polygons[near]
    # Most polygons are one ring, whose vertices can be had without making geometries of rings and parts.
    plain = shapely.get_num_interior_rings(chosen) == 0
    plain &= shapely.get_type_id(chosen) == shapely.GeometryType.POLYGON
    single, others = np.flatnonzero(plain), np.flatnonzero(~plain)
    parts, of_other = shapely.get_parts(chosen[others], return_index=True)
    full = ~shapely.is_empty(parts)
    rings, of_part = shapely.get_rings(parts[full], return_index=True)
    points = np.concatenate([shapely.get_coordinates(chosen[single]), shapely.get_coordinates(rings)])
    lengths = [shapely.get_num_coordinates(chosen[single]), shapely.get_num_coordinates(rings)]
    starts = np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int64)
    owner = np.concatenate([single, others[of_other[full]]]).astype(np.int64)
    firsts = np.searchsorted(of_part, np.arange(int(full.sum()) + 1)) + len(single)
    firsts = np.concatenate([np.arange(len(single)), firsts]).astype(np.int64)
    bad = place(points, lattice.left, lattice.top, lattice.dx, lattice.dy, REACH)
    if bad >= 0:
        ring = np.searchsorted(starts, bad, side="right") - 1
        raise _misplaced(int(near[owner[np.searchsorted(firsts, ring, side="right") - 1]]))
    found = Rings(points, starts, np.zeros(len(starts) - 1, np.int64), firsts, owner)
    turn(found)
    work = cells[owner] / np.bincount(owner)[owner] + _VERTEX * np.diff(starts[firsts])
    return found, near, work


def _near(polygons: NDArray[np.object_], lattice: Lattice) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the rows of polygons that may touch the window, sorted by place, and the cells of their boxes in it."""
    kinds = shapely.get_type_id(polygons)
    polygonal = (kinds == shapely.GeometryType.POLYGON) | (kinds == shapely.GeometryType.MULTIPOLYGON)
    missing = shapely.is_missing(polygons)
    if not (polygonal | missing).all():
        row = int(np.flatnonzero(~(polygonal | missing))[0])
        msg = f"geometry {row} is not a Polygon or MultiPolygon: clean the parcels first"
        raise ValueError(msg)
    west, south, east, north = shapely.bounds(polygons).T
    unclear = np.isnan(west + south + east + north) & ~missing & ~shapely.is_empty(polygons)
    if unclear.any():
        raise _misplaced(int(np.flatnonzero(unclear)[0]))
    left, bottom, right, top = lattice.bounds
    touching = (west < right + lattice.dx) & (east > left - lattice.dx)
    rows = np.flatnonzero(touching & (south < top + lattice.dy) & (north > bottom - lattice.dy))
    band = np.floor((top - np.minimum(north[rows], top)) / (lattice.dy * _ROWS_TOGETHER))
    rows = rows[np.lexsort((west[rows], band))]
    wide = (np.minimum(east[rows], right) - np.maximum(west[rows], left)) / lattice.dx
    high = (np.minimum(north[rows], top) - np.maximum(south[rows], bottom)) / lattice.dy
    return rows, np.maximum(wide, 0) * np.maximum(high, 0)


def _misplaced(row: int) -> Exception:
    return ValueError(
        f"polygon {row} has a coordinate that is not finite or absurdly far from the grid: is it in the grid's CRS?"
    )
