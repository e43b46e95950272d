"""Sums per polygon of one window or of many: as a table between tasks, and added up without rounding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worker.parcels.zonal.kernel import BITS

Floats = NDArray[np.float64]
Ticks = NDArray[np.int64]

# Probabilities that come as uint8: 255 is 1.
LEVELS: Final = 255
_LEVELS_KEY: Final = b"probability_levels"
_FIXED: Final = 2  # area and valid area stand before the classes
_FRACTION_BITS: Final = 40
_LARGEST_TICK_WHOLE: Final = 1 << (62 - BITS)


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums per polygon in pixels: covered area (n,), covered area with imagery (n,), probability (n, class).

    `ticks` (n, 2 + class) holds the same three as the whole numbers they were added as, where the probabilities were
    uint8: pixels in units of 2^-28, probabilities in units of 2^-28 / 255. Such sums add up without rounding.
    """

    area: Floats
    valid_area: Floats
    probability: Floats
    ticks: Ticks | None = None


def sums_of_ticks(ticks: Ticks) -> Sums:
    """Return sums in pixels; below zero, where edges cancel but for the last bit, counts as nothing."""
    pixels = np.maximum(ticks, 0) * 2.0**-BITS
    return Sums(pixels[:, 0].copy(), pixels[:, 1].copy(), pixels[:, _FIXED:] / LEVELS, ticks)


def sums_table(sums: Sums) -> pa.Table:
    """Return the sums of the polygons that were touched, as a table: row, area, valid_area, p_1, p_2, ...

    The columns hold whole numbers (`Sums.ticks`, marked in the table's metadata) where the sums have them, else pixels.
    """
    if sums.ticks is None:
        columns: list[NDArray[Any]] = [sums.area, sums.valid_area, *sums.probability.T]
        touched: NDArray[Any] = sums.area > 0
        metadata = {}
    else:
        columns = list(sums.ticks.T)
        touched, metadata = np.asarray((sums.ticks != 0).any(axis=1)), {_LEVELS_KEY: str(LEVELS)}
    names = ["area", "valid_area", *(f"p_{k + 1}" for k in range(len(columns) - _FIXED))]
    table = {"row": np.flatnonzero(touched).astype(np.int64)}
    table |= {name: values[touched] for name, values in zip(names, columns, strict=True)}
    return pa.table(table, metadata=metadata or None)


class SumsMerger:
    """Adds up tables of sums, one after another, for `n` parcels and `classes` classes; any order gives the same bits.

    Each total is kept as whole pixels and as a fraction in units of 2^-40, both integers: sums of uint8 probabilities
    are exact, those of float32 are rounded once a table, by less than 1e-12. Memory: 16 bytes a number, whatever the
    count of tables.
    """

    def __init__(self, n: int, classes: int) -> None:
        self.n, self.classes, self.tables = n, classes, 0
        self._levels: int | None = None
        self._whole = np.zeros((n, _FIXED + classes), np.int64)
        self._fraction = np.zeros((n, _FIXED + classes), np.int64)

    def add(self, table: pa.Table) -> None:
        """Add one table of `sums_table`.

        Raises ValueError for a row outside 0..n-1, for another number of classes, for a value that is not finite, and
        where tables of uint8 and of float probabilities meet. A refused table adds nothing.
        """
        rows = table.column("row").to_numpy()
        if len(rows) and (rows.min() < 0 or rows.max() >= self.n):
            msg = f"the sums name rows {rows.min()}..{rows.max()}, the parcel table has {self.n}"
            raise ValueError(msg)
        if table.num_columns != 1 + _FIXED + self.classes:
            msg = f"the sums hold {table.num_columns - 1 - _FIXED} classes, not {self.classes}"
            raise ValueError(msg)
        levels = int((table.schema.metadata or {}).get(_LEVELS_KEY, 1))
        if self._levels not in {None, levels}:
            msg = "sums of uint8 and of float probabilities cannot be merged: map all blocks the same way"
            raise ValueError(msg)
        values = np.column_stack([column.to_numpy() for column in table.columns[1:]])
        whole, fraction = _limbs(values, exact=levels != 1)
        # A table names each row once and in order; one that does not is added number by number.
        if (np.diff(rows) > 0).all():
            self._whole[rows] += whole
            self._fraction[rows] += fraction
        else:
            np.add.at(self._whole, rows, whole)
            np.add.at(self._fraction, rows, fraction)
        self._levels, self.tables = levels, self.tables + 1
        if self.tables % (1 << 20) == 0:
            self._carry()

    def result(self) -> Sums:
        """Return the sums of all tables so far. Raises ValueError without any."""
        if self._levels is None:
            msg = "there are no sums to merge: at least one block must have been mapped"
            raise ValueError(msg)
        self._carry()
        pixels = np.maximum(self._whole + self._fraction * 2.0**-_FRACTION_BITS, 0.0)
        probability = pixels[:, _FIXED:] / self._levels
        return Sums(pixels[:, 0].copy(), pixels[:, 1].copy(), probability, self._ticks())

    def _ticks(self) -> Ticks | None:
        if self._levels == 1 or (self._whole.size and self._whole.max() >= _LARGEST_TICK_WHOLE):
            return None
        return (self._whole << BITS) + (self._fraction >> (_FRACTION_BITS - BITS))

    def _carry(self) -> None:
        self._whole += self._fraction >> _FRACTION_BITS
        self._fraction &= (1 << _FRACTION_BITS) - 1


def merge_sums(tables: Iterable[pa.Table], n: int) -> Sums:
    """Add up the tables of all windows for `n` parcels; the order of the tables changes no bit of the result.

    The tables may come from an iterator that reads one at a time. Raises ValueError without tables, and as
    `SumsMerger.add` does.
    """
    merger = None
    for table in tables:
        merger = merger or SumsMerger(n, table.num_columns - 1 - _FIXED)
        merger.add(table)
    return (merger or SumsMerger(n, 0)).result()


def _limbs(values: NDArray[Any], *, exact: bool) -> tuple[Ticks, Ticks]:
    """Split into whole pixels and a fraction in units of 2^-40."""
    if exact:
        return values >> BITS, (values & ((1 << BITS) - 1)) << (_FRACTION_BITS - BITS)
    if not np.isfinite(values).all():
        msg = "the sums hold a value that is not a number: map the block again"
        raise ValueError(msg)
    whole = np.floor(values)
    return whole.astype(np.int64), np.rint((values - whole) * 2.0**_FRACTION_BITS).astype(np.int64)
