"""The compiled part of the zonal sums: edges to signed areas, signed areas to coverage, coverage to sums.

The method is that of font rasterisers (FreeType's smooth rasteriser; R. Levien's font-rs keeps one buffer as here):
every edge leaves, in each cell it passes, the signed area to its right and the signed height it spans; a running sum
along the row turns both into the share of each cell that lies inside. No cell is cut against a polygon.

All shares are whole numbers in units of 2^-28 of a pixel. What an edge leaves in a cell depends on the edge and on the
cell's place on the whole grid, never on the window: sums over windows add up to the same bits however they are cut,
and edges shared by two polygons cancel exactly. numba checks no index: `lattice` refuses coordinates that are not
finite, every row and column is clipped to the window here, and codes index as many places as uint8 has values.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled, compiled_for_threads

Array = NDArray[Any]
Whole = np.int64 | int

BITS: Final = 28
FULL: Final = 1 << BITS
# Rounding may leave a share this far outside 0..1; it stays, so that neighbours add up. More is a ring that overlaps.
SLACK: Final = 1024
# Cells kept at zero behind each row, so that rows can be read in whole vectors; their number.
PAD: Final = 32
CELLS: Final = 1 << 18
ROWS: Final = CELLS // PAD
U = np.uint64


class Rings(NamedTuple):
    """Polygons as arrays: vertices (v, 2) as column, row on the whole grid; `starts` (ring + 1) into them.

    `signs` (ring,) is the turn each ring counts with, `parts` (part + 1) each part's first ring: its shell, holes after
    it; `owner` (part,) the row of the sums a part adds to.
    """

    points: Array
    starts: Array
    signs: Array
    parts: Array
    owner: Array


class Window(NamedTuple):
    """A window's first row and column on the whole grid, and its size in pixels."""

    row: int
    column: int
    height: int
    width: int


class Scratch(NamedTuple):
    """Buffers of one thread, all zero between parts: cells (flat), first and last touched column of each row."""

    cells: Array
    low: Array
    high: Array


def scratch_for(window: Window) -> Scratch:
    """Return buffers for parts of any size inside a window: about 1 MiB; larger parts are taken in bands of rows."""
    rows = min(max(window.height, 1), ROWS)
    cells = np.zeros(max(CELLS, window.width + PAD), np.int32)
    return Scratch(cells, np.zeros(rows, np.int64), np.zeros(rows, np.int64))


@compiled
def place(points: Array, left: float, top: float, dx: float, dy: float, reach: float) -> int:  # noqa: PLR0917 - compiled code takes no keywords
    """Turn coordinates into columns and rows, in place; return the first vertex not within `reach` pixels, or -1.

    Rows are rounded to 2^-28, so that the heights of edges are whole numbers and rings close exactly.
    """
    for k in range(len(points)):
        x, y = (points[k, 0] - left) / dx, (top - points[k, 1]) / dy
        if not (abs(x) <= reach and abs(y) <= reach):
            return k
        points[k, 0] = x
        points[k, 1] = np.floor(y * FULL + 0.5) / FULL
    return -1


@compiled
def turn(rings: Rings) -> None:
    """Find the sign of each ring, whichever way it was drawn: shells add, holes take away."""
    points, starts = rings.points, rings.starts
    for part in range(len(rings.parts) - 1):
        for ring in range(rings.parts[part], rings.parts[part + 1]):
            twice = 0.0
            x, y = points[starts[ring], 0], points[starts[ring], 1]
            for k in range(starts[ring], starts[ring + 1] - 1):
                twice += (points[k, 0] - x) * (points[k + 1, 1] - y) - (points[k + 1, 0] - x) * (points[k, 1] - y)
            sign = -1 if twice > 0 else 1
            rings.signs[ring] = sign if ring == rings.parts[part] else -sign


@compiled
def _box(rings: Rings, part: int, window: Window) -> tuple[int, int, int, int]:
    """Return a part's left, top, right, bottom in cells, clipped to the window."""
    shell = rings.parts[part]
    x0, x1, y0, y1 = np.inf, -np.inf, np.inf, -np.inf
    for k in range(rings.starts[shell], rings.starts[shell + 1]):
        x, y = rings.points[k, 0], rings.points[k, 1]
        x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
    right, bottom = float(window.column + window.width), float(window.row + window.height)
    left, top = np.floor(max(x0, float(window.column))), np.floor(max(y0, float(window.row)))
    if not (x0 < right and y0 < bottom and x1 > window.column and y1 > window.row):
        return 0, 0, 0, 0
    return int(left), int(top), int(np.ceil(min(x1, right))), int(np.ceil(min(y1, bottom)))


@compiled
def _draw(rings: Rings, part: int, band: Window, scratch: Scratch) -> None:
    """Leave all edges of a part in the cells of a band."""
    for y in range(band.height):
        scratch.low[y], scratch.high[y] = band.width, 0
    cells, low, high = scratch
    for ring in range(rings.parts[part], rings.parts[part + 1]):
        begin, end = rings.starts[ring], rings.starts[ring + 1] - 1
        _draw_ring(rings.points, begin, end, rings.signs[ring], band, cells, low, high)


@compiled
def _draw_ring(  # noqa: PLR0915, PLR0917 - compiled: calls that pass arrays cost more than what they do here
    points: Array, begin: int, end: int, turned: int, band: Window, cells: Array, low: Array, high: Array
) -> None:
    """Cut each edge into the rows it passes; edges that lead down the rows count positive, others negative.

    An edge leaves its height within a row (in units of 2^-28) spread over the columns it passes there, rounded as
    running totals from its left end: so what lies left of the band, and goes whole into the first cell, is the exact
    sum of what its cells would have got. In each cell, the part of its height times the width to its right is inside;
    the rest is added one cell on, from where the running sum carries the whole height along.
    """
    top, left = float(band.row), float(band.column)
    bottom, right = top + band.height, left + band.width
    stride = band.width + PAD
    xn, yn = points[U(begin), U(0)], points[U(begin), U(1)]
    for k in range(begin + 1, end + 1):
        x0, y0 = xn, yn
        xn, yn = points[U(k), U(0)], points[U(k), U(1)]
        up = y0 > yn
        sign = -turned if up else turned
        x1, y1 = (x0, y0) if up else (xn, yn)
        x0, y0 = (xn, yn) if up else (x0, y0)
        lowest, highest = min(x0, x1), max(x0, x1)
        if y0 == y1 or y1 <= top or y0 >= bottom or lowest >= right:
            continue
        edge, stop, slope = np.floor(max(y0, top)), min(y1, bottom), (x1 - x0) / (y1 - y0)
        # Clamped: on edges that are nearly level the slope is huge and its product loses its digits.
        xb = min(max(x0 + (edge - y0) * slope, lowest), highest) if y0 < edge else x0
        yb = max(y0, edge)
        row = np.int64(edge - top) - 1
        while edge < stop:
            edge += 1.0
            row += 1
            xa, ya, yb = xb, yb, min(y1, edge)
            xb = x1 if y1 <= edge else min(max(x0 + (edge - y0) * slope, lowest), highest)
            a, b, drop = min(xa, xb), max(xa, xb), (yb - ya) * FULL
            if a >= right:
                continue
            y, base, column = U(row), row * stride, np.floor(a)
            if b <= left:
                cells[U(base)] += sign * np.int64(drop)
                low[y], high[y] = 0, max(high[y], 1)
                continue
            rate, before, start = 0.0, 0.0, a
            if b > column + 1.0:
                rate = drop / (b - a)
            if column < left:
                column = start = left
                before = np.floor((left - a) * rate + 0.5)
                cells[U(base)] += sign * np.int64(before)
            at = np.int64(column - left)
            low[y] = min(low[y], at)
            i = U(base + at)
            while column + 1.0 < min(b, right):
                now = np.floor((column + 1.0 - a) * rate + 0.5)
                inside = np.floor((now - before) * 0.5 * (column + 1.0 - start) + 0.5)
                cells[i] += sign * np.int64(inside)
                i += U(1)
                cells[i] += sign * np.int64(now - before - inside)
                column += 1.0
                before, start = now, column
            now = drop if b <= column + 1.0 else np.floor((column + 1.0 - a) * rate + 0.5)
            # As above where the edge goes on, to the last digit: there a window ends and another begins.
            beyond = column + 1.0 - min(b, column + 1.0)
            inside = np.floor((now - before) * 0.5 * (column + 1.0 - start + beyond) + 0.5)
            cells[i] += sign * np.int64(inside)
            cells[i + U(1)] += sign * np.int64(now - before - inside)
            high[y] = max(high[y], np.int64(column - left) + 2)


@compiled
def _share(running: Whole) -> Whole:
    return min(max(running, -SLACK), FULL + SLACK)


@compiled
def _cover_row(scratch: Scratch, y: int, width: int, stride: int, valid: Array, at: int) -> tuple[Whole, Whole]:  # noqa: PLR0917 - compiled code takes no keywords
    """Turn what edges left in a row into shares, zero where there is no imagery; return area and valid area."""
    cells, base = scratch.cells, y * stride
    running = area = seen = np.int64(0)
    low, high = scratch.low[y], min(scratch.high[y], width)
    for x in range(low, high):
        running += cells[U(base + x)]
        cells[U(base + x)] = _share(running)
    cells[U(base + width)] = 0
    if running != 0 and low < high:
        for x in range(high, width):
            cells[U(base + x)] = _share(running)
        high = width
    for x in range(low, high):
        share = np.int64(cells[U(base + x)])
        seen_share = share if valid[U(at + x)] else np.int64(0)
        cells[U(base + x)] = seen_share
        area += share
        seen += seen_share
    scratch.high[y] = high
    return area, seen


@compiled
def _clear_row(scratch: Scratch, y: int, stride: int) -> None:
    for x in range(scratch.low[y], scratch.high[y] + 1):
        scratch.cells[U(y * stride + x)] = 0


@compiled
def _weigh_levels(cells: Array, base: np.uint64, stack: Array, at: np.uint64, n: np.uint64) -> np.int64:
    total = np.int64(0)
    for x in range(n):
        total += np.int64(cells[base + x]) * np.int64(stack[at + x])
    return total


@compiled
def _weigh_floats(cells: Array, base: np.uint64, stack: Array, at: np.uint64, n: np.uint64) -> float:
    total = 0.0
    for x in range(n):
        share = cells[base + x]
        # Not a product: outside the imagery a value may be anything, NaN too.
        total += np.float64(share) * stack[at + x] if share != 0 else 0.0
    return total


@compiled_for_threads
def sum_levels(  # noqa: PLR0917 - compiled code takes no keywords
    rings: Rings, chosen: tuple[int, int], window: Window, stack: Array, valid: Array, ticks: Array, scratch: Scratch
) -> None:
    """Add area, valid area and sums of uint8 values of some parts to `ticks` (owner, 2 + class).

    `stack` (class * y * x) and `valid` (y * x) are flat and contiguous.
    """
    plane = U(window.height * window.width)
    totals = np.zeros(ticks.shape[1], np.int64)
    for part in range(*chosen):
        left, top, right, bottom = _box(rings, part, window)
        width = right - left
        stride = width + PAD
        rows = min(len(scratch.cells) // stride, len(scratch.low))
        totals[:] = 0
        for first in range(top, bottom, rows):
            height = min(rows, bottom - first)
            _draw(rings, part, Window(first, left, height, width), scratch)
            for y in range(height):
                at = (first - window.row + y) * window.width + left - window.column
                area, seen = _cover_row(scratch, y, width, stride, valid, at)
                totals[0] += area
                totals[1] += seen
                low, high = scratch.low[y], scratch.high[y]
                if low < high:
                    # Whole vectors, reading zeros behind the row, except where the raster ends.
                    n = (U(high - low) + U(PAD - 1)) // U(PAD) * U(PAD)
                    value = U(at + low)
                    n = n if value + n <= plane else U(high - low)
                    for k in range(ticks.shape[1] - 2):
                        totals[2 + k] += _weigh_levels(scratch.cells, U(y * stride + low), stack, value, n)
                        value += plane
                    _clear_row(scratch, y, stride)
        ticks[rings.owner[part]] += totals


@compiled_for_threads
def sum_floats(  # noqa: PLR0917 - compiled code takes no keywords
    rings: Rings, chosen: tuple[int, int], window: Window, stack: Array, valid: Array, sums: Array, scratch: Scratch
) -> None:
    """Do as `sum_levels` for float values and `sums` (owner, 2 + class) in float64, in the same units."""
    plane = U(window.height * window.width)
    for part in range(*chosen):
        left, top, right, bottom = _box(rings, part, window)
        width, owner = right - left, rings.owner[part]
        stride = width + PAD
        rows = min(len(scratch.cells) // stride, len(scratch.low))
        for first in range(top, bottom, rows):
            height = min(rows, bottom - first)
            _draw(rings, part, Window(first, left, height, width), scratch)
            for y in range(height):
                at = (first - window.row + y) * window.width + left - window.column
                area, seen = _cover_row(scratch, y, width, stride, valid, at)
                sums[owner, 0] += area
                sums[owner, 1] += seen
                low, high = scratch.low[y], scratch.high[y]
                if low < high:
                    value, n = U(at + low), U(high - low)
                    for k in range(sums.shape[1] - 2):
                        sums[owner, 2 + k] += _weigh_floats(scratch.cells, U(y * stride + low), stack, value, n)
                        value += plane
                    _clear_row(scratch, y, stride)


@compiled_for_threads
def count_codes(  # noqa: PLR0917 - compiled code takes no keywords
    rings: Rings, chosen: tuple[int, int], window: Window, codes: Array, ticks: Array, scratch: Scratch
) -> None:
    """Add the area of each code 1..classes in some parts to `ticks` (owner, class); `codes` (y * x) is flat."""
    # Two totals of each code, used in turn: where a code repeats, one addition need not wait for the other.
    totals = np.zeros(512, np.int64)
    for part in range(*chosen):
        left, top, right, bottom = _box(rings, part, window)
        width, owner = right - left, rings.owner[part]
        stride = width + PAD
        rows = min(len(scratch.cells) // stride, len(scratch.low))
        for first in range(top, bottom, rows):
            height = min(rows, bottom - first)
            _draw(rings, part, Window(first, left, height, width), scratch)
            for y in range(height):
                at = (first - window.row + y) * window.width + left - window.column
                _count_row(scratch, y, width, stride, codes, at, totals)
        for k in range(ticks.shape[1]):
            ticks[owner, k] += totals[k + 1] + totals[k + 257]
        totals[:] = 0


@compiled
def _count_row(scratch: Scratch, y: int, width: int, stride: int, codes: Array, at: int, totals: Array) -> None:  # noqa: PLR0917 - compiled code takes no keywords
    cells, base, running = scratch.cells, y * stride, np.int64(0)
    low, high = scratch.low[y], min(scratch.high[y], width)
    for x in range(low, high):
        running += cells[U(base + x)]
        cells[U(base + x)] = 0
        totals[U(codes[U(at + x)]) + U((x & 1) << 8)] += _share(running)
    cells[U(base + width)] = 0
    if running != 0 and low < high:
        for x in range(high, width):
            totals[U(codes[U(at + x)]) + U((x & 1) << 8)] += _share(running)
