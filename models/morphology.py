"""Building footprints to a raster of urban form: how much is built, how high, and how much sky is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import shapely
from affine import Affine
from numba import prange
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from models.compiled import compiled, compiled_in_parallel
from models.errors import CityzonesError

RESOLUTION: Final = 10.0
# Nothing farther than this can change a pixel: pass every footprint within it, the raster needs no halo of its own.
HALO_METRES: Final = 100.0
HALO_PIXELS: Final = 10
DEFAULT_HEIGHT: Final = 6.0  # metres, for a building whose height nobody knows: two storeys
MAX_HEIGHT: Final = 850.0  # nothing taller stands on Earth
MIN_OPEN: Final = 1 / 16  # one sub-cell: the least open ground an aspect ratio is divided by

Ragged = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]

_CELL: Final = 2.5
_SUB: Final = 4
_SPREAD_RADIUS: Final = 5  # pixels: the spread of heights is that of the surrounding 110 m
_DIRECTIONS: Final = 16
_STRETCH: Final = 64  # pixels whose horizons are looked for together
_WALL_STEP: Final = 1.25
_WALL_LOOK: Final = 1.5  # how far outside a wall its neighbour is looked for: more than half a sub-cell


class BadMorphology(CityzonesError):
    """Footprints, heights or grid do not fit together."""

    code = "bad-morphology"


def morphology(
    footprints: Sequence[Any] | NDArray[np.object_],
    heights: NDArray[np.floating[Any]],
    transform: Affine,
    shape: tuple[int, int],
    covered: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Describe the buildings on a north-up 10 m grid.

    `footprints` are (Multi)Polygons in the grid's metric CRS, `heights` (n,) metres with NaN where unknown (taken as
    DEFAULT_HEIGHT). `covered` (y, x) says where the building layer was mapped at all; without it everything is covered
    if there is any building. Returns (6, y, x) float32: built fraction, ln(1+H)/4, ln(1+sigma_H)/4, sky view factor
    over open ground (16 directions, 100 m; 1 where no ground is open), ln(1+H/W)/1.5 with H/W = walls / (2 open ground)
    (Masson 2000), and valid; where not valid all six are 0. A window gets the same bytes as the same part of the whole,
    whatever the order of the footprints, if it is given all footprints within HALO_METRES and starts on the same
    10 m lattice. Raises BadMorphology.
    """
    _check(footprints, heights, transform, shape, covered)
    valid = np.full(shape, len(footprints) > 0) if covered is None else np.asarray(covered, dtype=bool)
    if not valid.any():
        return np.zeros((6, *shape), dtype=np.float32)
    x0, y0 = transform.c - HALO_METRES, transform.f + HALO_METRES
    rows, cols = shape[0] + 2 * HALO_PIXELS, shape[1] + 2 * HALO_PIXELS
    polygons, tops = _polygons(footprints, heights)
    tall = np.zeros((rows * _SUB, cols * _SUB), dtype=np.float32)
    walls = np.zeros((rows, cols), dtype=np.int64)
    if len(polygons):
        ragged = _ragged(polygons)
        _burn_rings(ragged, len(polygons), tops, (x0, y0), _CELL, tall)
        _add_walls(*ragged, tops.astype(np.float64), tall, x0, y0, walls)
    return _describe(tall, walls, valid)


def burn(
    polygons: NDArray[np.object_],
    values: NDArray[Any],
    origin: tuple[float, float],
    cell: float,
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Burn polygons into a north-up raster (y, x), float32, 0 outside; where they overlap the largest value wins.

    A cell belongs to a polygon that holds its centre. `origin` is the upper-left corner.
    """
    out = np.zeros(shape, dtype=np.float32)
    if len(polygons):
        _burn_rings(_ragged(polygons), len(polygons), values, origin, cell, out)
    return out


def _burn_rings(  # noqa: PLR0917 - as `burn`
    ragged: Ragged, number: int, values: NDArray[Any], origin: tuple[float, float], cell: float, out: NDArray[Any]
) -> None:
    coordinates, rings, owners = ragged
    polygon_rings = np.searchsorted(owners, np.arange(number + 1))
    _burn(coordinates, rings, polygon_rings, values.astype(np.float32), origin[0], origin[1], cell, out)


def _check(footprints: Any, heights: Any, transform: Affine, shape: tuple[int, int], covered: Any) -> None:
    if transform.b or transform.d or transform.a != RESOLUTION or transform.e != -RESOLUTION:
        raise BadMorphology(f"morphology needs a north-up grid of {RESOLUTION:g} m pixels, not {tuple(transform)[:6]}")
    if len(footprints) != len(heights):
        raise BadMorphology(
            f"{len(footprints)} footprints came with {len(heights)} heights; pass one each (NaN: unknown)"
        )
    if min(shape) < 1 or (covered is not None and np.shape(covered) != tuple(shape)):
        raise BadMorphology(f"the grid {tuple(shape)} must not be empty and must match the covered mask")


def _polygons(footprints: Any, heights: Any) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
    """Split into single polygons with a usable height; other geometries and empty ones are left out."""
    parts, index = np.asarray(footprints, dtype=object), np.arange(len(footprints))
    if not (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON).all():
        parts, index = shapely.get_parts(parts, return_index=True)
    use = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & ~shapely.is_empty(parts)
    tops = np.asarray(heights, dtype=np.float32)[index[use]]
    known = np.isfinite(tops) & (tops > 0)
    return parts[use], np.clip(np.where(known, tops, DEFAULT_HEIGHT), 1.0, MAX_HEIGHT).astype(np.float32)


def _ragged(polygons: NDArray[np.object_]) -> Ragged:
    """Return the coordinates (n, 2), where each ring starts (rings + 1,) and which polygon owns it (rings,)."""
    flat = shapely.force_2d(polygons) if shapely.has_z(polygons).any() else polygons
    _, coordinates, (rings, owners) = shapely.to_ragged_array(flat)
    owner_of_ring = np.repeat(np.arange(len(polygons)), np.diff(owners))
    return np.ascontiguousarray(coordinates), rings.astype(np.int64), owner_of_ring.astype(np.int64)


@compiled
def _burn(  # noqa: PLR0917 - compiled code takes no keywords
    xy: Any, rings: Any, polygon_rings: Any, values: Any, x0: float, y0: float, cell: float, out: Any
) -> None:
    for polygon in range(len(polygon_rings) - 1):
        first, last = rings[polygon_rings[polygon]], rings[polygon_rings[polygon + 1]]
        low, high = xy[first:last, 1].min(), xy[first:last, 1].max()
        top = max(0, int(np.floor((y0 - high) / cell)) - 1)
        bottom = min(out.shape[0] - 1, int(np.ceil((y0 - low) / cell)) + 1)
        crossings = np.empty(last - first)
        for row in range(top, bottom + 1):
            y = y0 - (row + 0.5) * cell
            count = 0
            for ring in range(polygon_rings[polygon], polygon_rings[polygon + 1]):
                for k in range(rings[ring], rings[ring + 1] - 1):
                    ya, yb = xy[k, 1], xy[k + 1, 1]
                    if (ya <= y) != (yb <= y):
                        crossings[count] = xy[k, 0] + (y - ya) * (xy[k + 1, 0] - xy[k, 0]) / (yb - ya)
                        count += 1
            _fill(np.sort(crossings[:count]), values[polygon], x0, cell, out[row])


@compiled
def _fill(crossings: Any, value: float, x0: float, cell: float, row: Any) -> None:
    for k in range(0, len(crossings) - 1, 2):
        start = max(0, int(np.ceil((crossings[k] - x0) / cell - 0.5)))
        stop = min(len(row), int(np.ceil((crossings[k + 1] - x0) / cell - 0.5)))
        for column in range(start, stop):
            row[column] = max(row[column], value)


@compiled
def _add_walls(  # noqa: PLR0917 - compiled code takes no keywords
    xy: Any, rings: Any, owners: Any, tops: Any, tall: Any, x0: float, y0: float, walls: Any
) -> None:
    """Sum the wall that stands free, in mm2 so that the order of the buildings cannot change the sum."""
    for ring in range(len(owners)):
        top = tops[owners[ring]]
        shell = ring == 0 or owners[ring] != owners[ring - 1]
        # The open side lies to the right of a shell drawn against the clock, and of a hole drawn with it.
        look = _WALL_LOOK if (_area(xy, rings[ring], rings[ring + 1]) > 0) == shell else -_WALL_LOOK
        for k in range(rings[ring], rings[ring + 1] - 1):
            dx, dy = xy[k + 1, 0] - xy[k, 0], xy[k + 1, 1] - xy[k, 1]
            length = np.hypot(dx, dy)
            if length == 0.0:
                continue
            count = int(np.ceil(length / _WALL_STEP))
            for step in range(count):
                x, y = xy[k, 0] + dx * (step + 0.5) / count, xy[k, 1] + dy * (step + 0.5) / count
                row, column = int(np.floor((y0 - y) / RESOLUTION)), int(np.floor((x - x0) / RESOLUTION))
                if not (0 <= row < walls.shape[0] and 0 <= column < walls.shape[1]):
                    continue
                look_x, look_y = x + look * dy / length, y - look * dx / length
                r, c = int(np.floor((y0 - look_y) / _CELL)), int(np.floor((look_x - x0) / _CELL))
                beside = tall[r, c] if 0 <= r < tall.shape[0] and 0 <= c < tall.shape[1] else 0.0
                walls[row, column] += np.int64(max(0.0, top - beside) * length / count * 1e6)


@compiled
def _area(xy: Any, first: int, last: int) -> float:
    """Return twice the area a ring encloses, positive where it is drawn against the clock."""
    total = 0.0
    for k in range(first, last - 1):
        total += (xy[k, 0] - xy[first, 0]) * (xy[k + 1, 1] - xy[first, 1])
        total -= (xy[k + 1, 0] - xy[first, 0]) * (xy[k, 1] - xy[first, 1])
    return total


def _rays() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Sub-cell offsets (direction, step, [dy, dx]) and one over the distance in metres, (direction, step).

    They go every 2.5 m to 20 m, every 5 m to 100 m. A wall stands at the near face of its sub-cell, half a sub-cell
    before the centre.
    """
    reach = np.concatenate([np.arange(2.5, 20.1, 2.5), np.arange(25.0, HALO_METRES + 0.1, 5.0)]) / _CELL
    angles = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    across = np.rint(np.stack([-np.cos(angles), np.sin(angles)], axis=-1)[:, None] * reach[None, :, None])
    distance = np.hypot(across[..., 0], across[..., 1]) * _CELL - _CELL / 2
    return across.astype(np.int64), (1 / distance).astype(np.float32)


def _describe(tall: NDArray[np.float32], walls: NDArray[np.int64], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    count = np.zeros(walls.shape, np.int64)
    total, squares, highest = (np.zeros(walls.shape) for _ in range(3))
    _sum_cells(tall, count, total, squares, highest)
    skyline = maximum_filter(highest, size=2 * HALO_PIXELS + 3, mode="constant")
    halves = np.stack([tall[:, 0::2], tall[:, 1::2]])
    spread = _spread(_around(count), _around(total), _around(squares))
    out = np.zeros((6, *valid.shape), dtype=np.float32)
    _fill_pixels(count, total, spread, walls, valid, out)
    _fill_sky(halves, skyline, *_rays(), valid, out[3])
    return out


@compiled
def _sum_cells(tall: Any, count: Any, total: Any, squares: Any, highest: Any) -> None:
    """Gather the sub-cells of each pixel: how many are built, their heights, squared heights, and the highest."""
    for row in range(tall.shape[0]):
        for column in range(tall.shape[1]):
            height = np.float64(tall[row, column])
            if height > 0:
                r, c = row // _SUB, column // _SUB
                count[r, c] += 1
                total[r, c] += height
                squares[r, c] += height * height
                highest[r, c] = max(highest[r, c], height)


def _around(values: NDArray[Any]) -> NDArray[Any]:
    """Sum the windows of 110 m around all pixels but those of the halo, each in the same order wherever it lies."""
    side, first = 2 * _SPREAD_RADIUS + 1, HALO_PIXELS - _SPREAD_RADIUS
    rows, cols = (n - 2 * HALO_PIXELS for n in values.shape)
    down, across = np.zeros((rows, values.shape[1]), values.dtype), np.zeros((rows, cols), values.dtype)
    for k in range(first, first + side):
        down += values[k : k + rows]
    for k in range(first, first + side):
        across += down[:, k : k + cols]
    return across


def _spread(count: NDArray[Any], total: NDArray[Any], squares: NDArray[Any]) -> NDArray[np.float64]:
    """Return the standard deviation of heights, (y, x), 0 where there are none."""
    some = np.maximum(count, 1)
    variance = squares / some - (total / some) ** 2
    return np.sqrt(np.where(variance > 1e-9, variance, 0.0))  # noqa: PLR2004 - rounding


@compiled
def _fill_pixels(  # noqa: PLR0917 - compiled code takes no keywords
    count: Any, total: Any, spread: Any, walls: Any, valid: Any, out: Any
) -> None:
    for row in range(valid.shape[0]):
        for column in range(valid.shape[1]):
            if not valid[row, column]:
                continue
            r, c = row + HALO_PIXELS, column + HALO_PIXELS
            built = count[r, c] / (_SUB * _SUB)
            mean = total[r, c] / count[r, c] if count[r, c] else 0.0
            wall = walls[r, c] / 1e6 / (RESOLUTION * RESOLUTION)
            out[0, row, column] = built
            out[1, row, column] = np.log1p(mean) / 4
            out[2, row, column] = np.log1p(spread[row, column]) / 4
            out[4, row, column] = np.log1p(wall / (2 * max(1 - built, MIN_OPEN))) / 1.5
            out[5, row, column] = 1.0


@compiled_in_parallel
def _fill_sky(  # noqa: PLR0917 - compiled code takes no keywords
    halves: Any, skyline: Any, offsets: Any, inverse: Any, valid: Any, out: Any
) -> None:
    for row in prange(valid.shape[0]):
        for start in range(0, valid.shape[1], _STRETCH):
            stop = min(start + _STRETCH, valid.shape[1])
            seen = valid[row, start:stop]
            if seen.any():
                around = skyline[row + HALO_PIXELS, start + HALO_PIXELS : stop + HALO_PIXELS]
                if around.max() <= 0:
                    out[row, start:stop] = seen
                else:
                    _sky(halves, row + HALO_PIXELS, start + HALO_PIXELS, offsets, inverse, seen, out[row, start:stop])


@compiled
def _sky(  # noqa: PLR0917 - compiled code takes no keywords
    halves: Any, r: int, c: int, offsets: Any, inverse: Any, valid: Any, out: Any
) -> None:
    """Mean over every other open sub-cell of 1 - mean sin2(horizon), for a stretch of pixels from (r, c) on.

    `halves` (2, y, x) holds the even and the odd columns of sub-cells: those used of a row are all even or all odd, and
    so are those any one step away from them, which lets the inner loop run over neighbours in memory.
    """
    number, first = 2 * len(out), 2 * c
    slope, light = np.empty(number, np.float32), np.empty(number, np.float32)
    seen, cells = np.zeros(len(out), np.float32), np.zeros(len(out), np.int64)
    for i in range(_SUB):
        y, odd = r * _SUB + i, i % 2
        light[:] = 0
        for ray in range(offsets.shape[0]):
            slope[:] = 0
            for step in range(offsets.shape[1]):
                column = odd + offsets[ray, step, 1]
                start = first + (column >> 1)
                _raise(slope, halves[column & 1, y + offsets[ray, step, 0], start : start + number], inverse[ray, step])
            for k in range(number):
                light[k] += 1 / (1 + slope[k] * slope[k])
        here = halves[odd, y, first : first + number]
        for k in range(number):
            if here[k] == 0:
                seen[k >> 1] += light[k]
                cells[k >> 1] += 1
    for k in range(len(out)):
        if valid[k]:
            out[k] = seen[k] / (cells[k] * offsets.shape[0]) if cells[k] else 1.0


@compiled
def _raise(slope: Any, roofs: Any, inverse: float) -> None:
    """Raise horizons to roofs at a distance of 1 / `inverse`."""
    for k in range(len(slope)):
        rise = roofs[k] * inverse
        slope[k] = rise if rise > slope[k] else slope[k]  # noqa: FURB136 - this becomes one instruction
