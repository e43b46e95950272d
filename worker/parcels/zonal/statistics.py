"""Zonal statistics by exact coverage: probability sums and class areas of polygons over one window of a raster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from jobs.area import Grid
from worker.parcels.zonal.kernel import BITS, Rings, Scratch, Window, count_codes, scratch_for, sum_floats, sum_levels
from worker.parcels.zonal.lattice import lattice_of, rings_of
from worker.parcels.zonal.sums import Sums, sums_of_ticks

Objects = NDArray[np.object_]
# So many pixels of a class at 255, at 2^28 a pixel, still fit an int64.
MOST_PIXELS: Final = 1 << 27
_MOST_CLASSES: Final = 255
# More shares than threads, as their work is only guessed.
_SHARES_PER_THREAD: Final = 4


def coverage_sums(
    polygons: Objects,
    probabilities: NDArray[np.uint8] | NDArray[np.float32],
    valid: NDArray[np.bool_],
    grid: Grid | Affine,
    *,
    origin: tuple[float, float] | None = None,
    threads: int = 1,
) -> Sums:
    """Sum over one window of the raster, `grid`; windows that do not overlap add up to the whole.

    `polygons` (n,) are valid Polygons or MultiPolygons in the grid's CRS, drawn either way round; None and empty ones
    count nothing. `probabilities` (class, y, x) are uint8 with 255 for 1, or float32; `valid` (y, x) says where they
    count. `grid` is the window's grid or a north-up affine transform, whose pixels need not be square; `origin` is the
    left and top of the whole grid, which only windows of a grid that is off the multiples of its pixel size need.
    Parts outside the window count nothing.

    Shares are multiples of 2^-28 of a pixel. For uint8 all sums are whole numbers: however a raster is cut into
    windows, in any order, on any machine and with any number of threads, `merge_sums` gives the same bits. float32 sums
    are the same for any number of threads, and for other cuts but for the rounding of float64.

    Raises ValueError where shapes or types disagree, for a window of more than 2^27 uint8 pixels, for a grid that is
    not north-up, for a coordinate that is not finite, and for a probability that is not where a polygon covers it.
    """
    if probabilities.ndim != 3 or valid.shape != probabilities.shape[1:]:  # noqa: PLR2004 - class, y, x
        msg = f"probabilities {probabilities.shape} and valid {valid.shape} do not fit: (class, y, x) and (y, x)"
        raise ValueError(msg)
    if probabilities.dtype not in {np.dtype(np.uint8), np.dtype(np.float32)}:
        msg = f"probabilities are uint8 (255 is 1) or float32, not {probabilities.dtype}"
        raise ValueError(msg)
    exact = probabilities.dtype == np.uint8
    if exact and valid.size > MOST_PIXELS:
        msg = f"the window has {valid.size} pixels, more than {MOST_PIXELS}: cut it and merge the sums"
        raise ValueError(msg)
    stack = np.ascontiguousarray(probabilities).reshape(-1)
    mask = np.ascontiguousarray(valid, dtype=np.bool_).reshape(-1)
    kernel = sum_levels if exact else sum_floats

    def add(rings: Rings, chosen: tuple[int, int], window: Window, found: NDArray[Any], scratch: Scratch) -> None:
        kernel(rings, chosen, window, stack, mask, found, scratch)

    empty = np.zeros((len(polygons), 2 + len(probabilities)), np.int64 if exact else np.float64)
    found = _over_polygons(add, empty, polygons, (grid, valid.shape, origin), threads)
    if exact:
        return sums_of_ticks(found)
    if not np.isfinite(found).all():
        msg = "a probability that a polygon covers is not finite: mark such pixels as not valid"
        raise ValueError(msg)
    pixels = np.maximum(found, 0.0) * 2.0**-BITS
    return Sums(pixels[:, 0].copy(), pixels[:, 1].copy(), pixels[:, 2:].copy())


def class_areas(
    polygons: Objects,
    codes: NDArray[np.uint8],
    grid: Grid | Affine,
    *,
    classes: int,
    nodata: int = 0,
    origin: tuple[float, float] | None = None,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Return the area each class covers of each polygon (n, classes), in pixels; column k is code k + 1.

    `codes` (y, x) is a hard map as uint8, 1..classes, with `nodata` where there is none. Polygons, grid, origin and
    threads are those of `coverage_sums`; areas are multiples of 2^-28, so that windows add up exactly up to 2^25 pixels
    of a class in a polygon. Raises ValueError as `coverage_sums` does, and for a code that is neither class nor nodata.
    """
    if codes.ndim != 2 or codes.dtype != np.uint8:  # noqa: PLR2004 - y, x
        msg = f"codes are uint8 (y, x), not {codes.dtype} {codes.shape}"
        raise ValueError(msg)
    if not 1 <= classes <= _MOST_CLASSES or 1 <= nodata <= classes:
        msg = f"classes run from 1 to at most {_MOST_CLASSES} and nodata is none of them, not {classes} and {nodata}"
        raise ValueError(msg)
    flat = np.ascontiguousarray(codes).reshape(-1)
    if flat.size and (flat.max() > classes or (nodata != 0 and flat.min() == 0)):
        strange = set(np.flatnonzero(np.bincount(flat, minlength=256)).tolist()) - {nodata, *range(1, classes + 1)}
        if strange:
            msg = f"the map holds the codes {sorted(strange)}, neither 1..{classes} nor {nodata} for no data"
            raise ValueError(msg)

    def add(rings: Rings, chosen: tuple[int, int], window: Window, found: NDArray[Any], scratch: Scratch) -> None:
        count_codes(rings, chosen, window, flat, found, scratch)

    found = _over_polygons(
        add, np.zeros((len(polygons), classes), np.int64), polygons, (grid, codes.shape, origin), threads
    )
    areas: NDArray[np.float64] = np.maximum(found, 0) * 2.0**-BITS
    return areas


def _over_polygons(
    add: Callable[[Rings, tuple[int, int], Window, NDArray[Any], Scratch], None],
    found: NDArray[Any],
    polygons: Objects,
    place: tuple[Grid | Affine, tuple[int, ...], tuple[float, float] | None],
    threads: int,
) -> NDArray[Any]:
    """Fill `found` (n, value) for the polygons near a window; each polygon is summed by one thread."""
    grid, (height, width), origin = place
    lattice = lattice_of(grid, (height, width), origin)
    if threads < 1:
        msg = f"threads must be at least 1, not {threads}"
        raise ValueError(msg)
    if not len(polygons) or not height or not width:
        return found
    rings, near, work = rings_of(np.asarray(polygons, dtype=object), lattice)
    part = np.zeros((len(near), found.shape[1]), found.dtype)
    if threads == 1:
        add(rings, (0, len(rings.owner)), lattice.window, part, scratch_for(lattice.window))
    else:
        shares = _shares(rings, work, threads * _SHARES_PER_THREAD)
        with ThreadPoolExecutor(threads) as pool:
            calls = [
                pool.submit(add, rings, share, lattice.window, part, scratch_for(lattice.window)) for share in shares
            ]
            for call in calls:
                call.result()
    found[near] = part
    return found


def _shares(rings: Rings, work: NDArray[np.float64], count: int) -> list[tuple[int, int]]:
    """Cut the parts into runs of about equal work; all parts of a polygon stay together."""
    upto = np.cumsum(work)
    if not len(upto):
        return []
    between = np.flatnonzero(np.diff(rings.owner)) + 1
    wanted = np.searchsorted(upto, np.linspace(0, upto[-1], count + 1)[1:-1])
    at = np.searchsorted(between, wanted)
    cuts = [0, *between[at[at < len(between)]].tolist(), len(rings.owner)]
    return [(a, b) for a, b in pairwise(cuts) if a < b]
