"""Reads runs of patches out of a So2Sat file: straight from the bytes where they lie plainly, else through HDF5.

The published files are chunked, unfiltered float64: reading a few patches at a time at the place HDF5 names keeps them
in the processor's cache until they are converted, where HDF5's own reading goes through main memory twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.data.so2sat.dataset import BadDataset, Sensor, So2SatFile, reading_hdf5

Values = NDArray[np.floating]

RUN: Final = 8
"""Patches read at once from the bytes: 0.6 MiB of Sentinel-2, which a second-level cache holds."""
LARGEST_RUN: Final = 128 * 1024**2
"""Most bytes read at once through HDF5, whatever the chunks: some writers make one chunk of a whole file."""
_LOOSE: Final = 64
"""Patches taken as a chunk where a file is not chunked along its patches."""


class Reader(Protocol):
    """Reads runs of at most `longest` patches that do not cross a multiple of `chunk`."""

    chunk: int
    longest: int

    def read(self, start: int, stop: int) -> Values:
        """Return patches (n, y, x, band); the memory is used again by the next call."""

    def announce(self, start: int, stop: int) -> None:
        """Say that these patches are wanted soon."""


@contextmanager
def reader_of(file: So2SatFile, sensor: Sensor) -> Iterator[Reader]:
    """Give the fastest reader the file's layout allows."""
    dataset = file.dataset(sensor)
    with reading_hdf5(file.path):
        places = _places(dataset)
    if places is None:
        yield _ThroughHdf5(file.path, dataset)
        return
    number = os.open(file.path, os.O_RDONLY)
    try:
        yield _Bytes(file.path, number, dataset, places)
    finally:
        os.close(number)


class _ThroughHdf5:
    """Any layout: compressed, cut across patches, of another byte order."""

    def __init__(self, path: Path, dataset: Any) -> None:
        self.chunk = _chunk(dataset)
        self.longest = max(1, min(self.chunk, LARGEST_RUN // _patch_bytes(dataset)))
        self._path, self._dataset = path, dataset
        self._buffer = np.empty((self.longest, *dataset.shape[1:]), _type(dataset))

    def read(self, start: int, stop: int) -> Values:
        with reading_hdf5(self._path):
            self._dataset.read_direct(self._buffer, np.s_[start:stop], np.s_[: stop - start])
        return self._buffer[: stop - start]

    def announce(self, start: int, stop: int) -> None:
        """HDF5 cannot be told."""


class _Bytes:
    """Plain layouts: `places` are the byte offsets of the chunks, in the order of the patches."""

    longest = RUN

    def __init__(self, path: Path, number: int, dataset: Any, places: NDArray[np.int64]) -> None:
        self.chunk = _chunk(dataset)
        self._path, self._number, self._places = path, number, places.tolist()
        self._patch = _patch_bytes(dataset)
        self._buffer = np.empty((RUN, *dataset.shape[1:]), dataset.dtype)
        self._bytes = self._buffer.reshape(-1).view(np.uint8).data
        self._whole, self._length = [self._bytes], len(self._bytes)

    def read(self, start: int, stop: int) -> Values:
        length = (stop - start) * self._patch
        # Most runs are full, and at their size taking a slice of memory shows.
        wanted = self._whole if length == self._length else [self._bytes[:length]]
        try:
            got = os.preadv(self._number, wanted, self._offset(start))
        except OSError as error:
            msg = f"{self._path.name} cannot be read ({error.strerror}); check the disk, or fetch it again"
            raise BadDataset(msg) from error
        if got != length:
            msg = f"{self._path.name} ends within patch {start + got // self._patch}; fetch it again"
            raise BadDataset(msg)
        return self._buffer if length == self._length else self._buffer[: stop - start]

    def announce(self, start: int, stop: int) -> None:
        """Let the operating system read ahead while the processor works on other patches."""
        if hasattr(os, "posix_fadvise"):
            length = (stop - start) * self._patch
            os.posix_fadvise(self._number, self._offset(start), length, os.POSIX_FADV_WILLNEED)

    def _offset(self, patch: int) -> int:
        place: int = self._places[patch // self.chunk]
        return place + patch % self.chunk * self._patch


def _places(dataset: Any) -> NDArray[np.int64] | None:
    """Return the byte offset of every chunk, or None where patches do not lie in the file as they are."""
    plain_numbers = dataset.dtype == _type(dataset)
    if not plain_numbers or dataset.is_virtual or dataset.external or dataset.file.userblock_size:
        return None
    if dataset.chunks is None:
        start = dataset.id.get_offset()
        whole = np.arange(0, len(dataset), _LOOSE, dtype=np.int64) * _patch_bytes(dataset)
        return None if start is None else whole + start
    if dataset.chunks[1:] != dataset.shape[1:] or dataset.id.get_create_plist().get_nfilters():
        return None
    places = np.full(-(-len(dataset) // dataset.chunks[0]), -1, np.int64)

    def note(told: Any) -> None:
        places[told.chunk_offset[0] // dataset.chunks[0]] = told.byte_offset

    dataset.id.chunk_iter(note)
    # A chunk never written has no place; HDF5 gives its fill value.
    return None if (places < 0).any() else places


def _chunk(dataset: Any) -> int:
    return int(dataset.chunks[0]) if dataset.chunks else _LOOSE


def _type(dataset: Any) -> np.dtype[np.floating]:
    return np.dtype(np.float32 if dataset.dtype.itemsize <= np.dtype(np.float32).itemsize else np.float64)


def _patch_bytes(dataset: Any) -> int:
    return int(np.prod(dataset.shape[1:])) * int(_type(dataset).itemsize)
