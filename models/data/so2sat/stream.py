"""Streams So2Sat patches in batches, chunk by chunk, converted and normalised on the way.

Files are larger than memory: what is held is one run of patches and the batches in the making. Shuffling draws the
order of the chunks, and deals the patches of a window of them out to its batches at random; neighbours in the file
land in different batches, at the speed of reading in file order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.data.so2sat.bands import S2_MEANS, S2_STDS, normalised_decibels
from models.data.so2sat.dataset import BANDS, SIDE, BadDataset, Sensor, So2SatFile
from models.data.so2sat.reading import Reader, Values, reader_of

Convert = Callable[[Values, Any, Any, Any, Any], int]

SHUFFLED_PATCHES: Final = 1024
"""Patches of a window when shuffling, rounded up to whole batches: 40 MiB of Sentinel-2."""
_POOLED: Final = 3
_HELD_BY_POOL: Final = 2
"""References to a pooled array that nobody else holds: the pool's, and the argument of the call that counts."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Patches (n, band, y, x) float32, their raster codes 1-17 (n,) and their places in the file (n,)."""

    patches: NDArray[np.float32]
    codes: NDArray[np.uint8]
    places: NDArray[np.int64]


def stream(
    file: So2SatFile,
    sensor: Sensor = "s2",
    *,
    batch: int = 64,
    normalised: bool = True,
    seed: int | None = None,
) -> Iterator[Batch]:
    """Yield every patch of a file once, `batch` at a time (the last may be smaller); 64 stay in the cache.

    Normalised, Sentinel-2 comes less the training mean over the standard deviation of each band, and Sentinel-1 as
    two bands in [-1, 1], see `normalised_decibels`; otherwise bands come as they are. `seed` shuffles; the same seed
    gives the same order. Raises BadDataset naming the patch where a value is not finite or a label not one-hot;
    labels are all checked before the first batch.
    """
    if batch < 1:
        msg = f"a batch holds at least one patch, not {batch}"
        raise BadDataset(msg)
    codes = file.codes()
    draw = None if seed is None else np.random.default_rng(seed)
    convert, (mean, scale) = CONVERT[sensor], _scaling(sensor, normalised=normalised)
    finish = normalised_decibels if normalised and sensor == "s1" else _as_it_is
    with reader_of(file, sensor) as reader:
        order = _order(len(file), reader.chunk, draw)
        window = min(len(file), batch if draw is None else -(-SHUFFLED_PATCHES // batch) * batch)
        spare = _Spare((window, len(BANDS[sensor]), SIDE, SIDE))
        for start in range(0, len(order), window):
            places = order[start : start + window]
            if draw is not None:
                _announce(reader, order[start + window : start + 2 * window])
            slots = np.arange(len(places)) if draw is None else draw.permutation(len(places))
            filled = spare.take()[: len(places)]
            for first, last in _runs(places, reader.chunk, reader.longest):
                begin = int(places[first])
                bad = convert(reader.read(begin, begin + last - first), slots[first:last], mean, scale, filled)
                if bad >= 0:
                    raise file.not_finite(sensor, begin + bad)
            dealt = np.empty_like(places)
            dealt[slots] = places
            for k in range(0, len(places), batch):
                part = dealt[k : k + batch]
                yield Batch(finish(filled[k : k + batch]), codes[part], part)


def verify(file: So2SatFile, sensors: Iterable[Sensor] = ("s1", "s2")) -> None:
    """Read everything once, a few patches at a time; raises BadDataset at the first label or value that is not good."""
    for sensor in sensors:
        for _ in stream(file, sensor, normalised=False):
            pass


class _Spare:
    """Arrays for batches, used again once the caller has let go of them: fresh memory costs as much as filling it."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._pool: list[NDArray[np.float32]] = []

    def take(self) -> NDArray[np.float32]:
        """Return an array nobody else holds, views and tensors made of it included."""
        for k in range(len(self._pool)):
            if sys.getrefcount(self._pool[k]) == _HELD_BY_POOL:
                return self._pool[k]
        fresh: NDArray[np.float32] = np.empty(self._shape, np.float32)
        if len(self._pool) < _POOLED:
            self._pool.append(fresh)
        return fresh


def _converter(bands: int) -> Convert:
    """Return `convert(values, slots, mean, scale, out)` for a number of bands.

    It writes each of (n, y, x, band) to its slot of out (slot, band, y, x), (value - mean) x scale, and returns -1,
    or a patch that is bad: that holds NaN or infinity, whose product with nought is not nought. It runs without the
    interpreter's lock. That the compiler knows the number of bands makes it a tenth faster.
    """
    width = SIDE * bands

    def convert(
        values: Values,
        slots: NDArray[np.int64],
        mean: NDArray[np.float64],
        scale: NDArray[np.float64],
        out: NDArray[np.float32],
    ) -> int:
        less, times, line = np.empty(width), np.empty(width), np.empty(width, np.float32)
        for i in range(width):
            less[i], times[i] = mean[i % bands], scale[i % bands]
        for k in range(slots.size):
            # Views and locals, not indices: the compiler then neither checks them anew for each value nor fears that
            # writing changes what it reads, and uses vector instructions; only the turning goes one by one.
            source, target = values[k].reshape(SIDE, width), out[slots[k]]
            noughts = 0.0
            for y in range(SIDE):
                row = source[y]
                for i in range(width):
                    noughts += row[i] * 0.0
                    line[i] = (row[i] - less[i]) * times[i]
                for c in range(bands):
                    for x in range(SIDE):
                        target[c, y, x] = line[x * bands + c]
            if noughts != 0.0:
                return k
        return -1

    return cast("Convert", njit(cache=True, nogil=True, fastmath={"reassoc"})(convert))


CONVERT: Final[dict[Sensor, Convert]] = {sensor: _converter(len(names)) for sensor, names in BANDS.items()}


def _scaling(sensor: Sensor, *, normalised: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if normalised and sensor == "s2":
        return S2_MEANS, 1.0 / S2_STDS
    bands = len(BANDS[sensor])
    return np.zeros(bands), np.ones(bands)


def _as_it_is(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    return patches


def _order(patches: int, chunk: int, draw: np.random.Generator | None) -> NDArray[np.int64]:
    """Return the order patches are read in: the file's, or chunk after chunk as drawn."""
    order = np.arange(patches)
    if draw is None:
        return order
    starts = draw.permutation(np.arange(0, patches, chunk))
    return np.concatenate([order[start : start + chunk] for start in starts])


def _runs(places: NDArray[np.int64], chunk: int, longest: int) -> Iterator[tuple[int, int]]:
    """Yield (first, last + 1) into places of consecutive patches of one chunk, at most `longest` of them."""
    breaks = np.flatnonzero((np.diff(places) != 1) | (places[1:] % chunk == 0)) + 1
    edges = [0, *breaks.tolist(), len(places)]
    for begin, end in pairwise(edges):
        for first in range(begin, end, longest):
            yield first, min(first + longest, end)


def _announce(reader: Reader, places: NDArray[np.int64]) -> None:
    for first, last in _runs(places, reader.chunk, reader.chunk) if len(places) else ():
        reader.announce(int(places[first]), int(places[first]) + last - first)
