"""Puts the image of a window together: files onto the grid, layers into stacks, stacks into their median."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from scipy import ndimage

from models.cards import Card
from worker.imagery.filling import REACH, mirrored
from worker.imagery.plan import FileRead, ImageryPlan, Layer, Stack
from worker.imagery.sampling import Floats, Lattice, Mask, Source, sample

Opener = Callable[[FileRead], AbstractContextManager[DatasetReader]]

# Sentinel-2 scene classification: no data, saturated, cloud shadow, cloud medium, cloud high, thin cirrus.
CLOUDED: Final = (0, 1, 3, 8, 9, 10)
DILATION: Final = 2
_DISC: Final = np.hypot(*np.mgrid[-DILATION : DILATION + 1, -DILATION : DILATION + 1]) <= DILATION


@dataclass(frozen=True, slots=True)
class BlockImage:
    """A window of the job's image: reflectance (band, y, x) float32, or a picture's 0-1, and where it is valid (y, x).

    Pixels that are not valid hold what `worker.imagery.filling` puts there.
    """

    reflectance: NDArray[np.float32]
    valid: Mask


class Imagery:
    """A job's image, opened: reads windows of the job's grid, which may reach over its edges."""

    def __init__(self, plan: ImageryPlan, card: Card, opener: Opener, *, threads: int) -> None:
        self._plan = plan
        self._opener = opener
        self._threads = threads
        self._picture = card.input.reflectance == "digital"
        self._reach = max(REACH, card.geometry.halo)
        self._fill = np.array(card.domain.median if card.domain else [0.0] * len(plan.bands), np.float32)

    def read(self, row: int, column: int, height: int, width: int) -> BlockImage:
        """Return the image of a window in pixels of the grid.

        A pixel's value is the same in every window that holds it. Beyond the grid real pixels are read where the
        imagery has them; where not, the image is mirrored, for which a wider window is read. Raises BadImage or
        ImageryUnavailable.
        """
        if height <= 0 or width <= 0:
            msg = f"a window needs pixels, not {height} x {width}"
            raise ValueError(msg)
        lattice = Lattice(self._plan.pixel_grid, row, column, height, width)
        if self._within(lattice):
            values, valid = self._image(lattice)
            if valid.all():
                return BlockImage(np.ascontiguousarray(values, np.float32), valid)
        margin = 2 * self._reach
        wide = lattice.part(-margin, -margin, height + 2 * margin, width + 2 * margin)
        values, valid = self._image(wide)
        core = (slice(margin, -margin), slice(margin, -margin))
        filled = mirrored(values, valid, self._fill, self._reach)[:, *core]
        return BlockImage(np.ascontiguousarray(filled, np.float32), np.ascontiguousarray(valid[core]))

    def _within(self, lattice: Lattice) -> bool:
        """Whether a window lies within the grid; beyond it there is often no imagery."""
        grid = lattice.grid
        inside_down = lattice.row >= 0 and lattice.row + lattice.height <= grid.height
        return inside_down and lattice.column >= 0 and lattice.column + lattice.width <= grid.width

    def _image(self, lattice: Lattice) -> tuple[Floats, Mask]:
        with ThreadPoolExecutor(self._threads) as pool:
            reading = [[pool.submit(self._layer, layer, lattice) for layer in s.layers] for s in self._plan.stacks]
            stacks = [_first_valid([r.result() for r in layers]) for layers in reading]
        return _median(stacks)

    def _layer(self, layer: Layer, lattice: Lattice) -> tuple[Floats, Mask]:
        """Return a layer's reflectance (band, y, x) and where all its bands are valid and not clouded (y, x)."""
        bands = self._plan.bands
        values = np.zeros((len(bands), lattice.height, lattice.width))
        valid = np.zeros(values.shape, np.bool_)
        for file in layer.files:
            self._file(file, lattice, values, valid)
        whole: Mask = np.asarray(valid.all(axis=0))
        if layer.classification is not None and whole.any():
            whole &= ~self._clouded(layer.classification, lattice)
        # Of many tiles few meet a window: the others shall not hold memory until all are read.
        return (values if whole.any() else np.broadcast_to(0.0, values.shape)), whole

    def _file(self, file: FileRead, lattice: Lattice, values: Floats, valid: Mask) -> None:
        with self._opener(file) as dataset:
            source = Source(dataset, tuple(b.index for b in file.bands), file.nodata)
            numbers, good = sample(source, lattice, "smooth")
            if self._picture and dataset.nodata == 0:
                # Shadows and bright colours hold a 0 in some band; no data is black.
                good = np.broadcast_to(good.any(axis=0), good.shape)
        for band, number, here in zip(file.bands, numbers, good, strict=True):
            place = self._plan.bands.index(band.band)
            new = here & ~valid[place]
            scaled = number[new] * band.scale + band.offset
            values[place][new] = scaled.clip(0, 1) if self._picture else scaled
            valid[place] |= here

    def _clouded(self, file: FileRead, lattice: Lattice) -> Mask:
        """Return where the scene classification says no data, shadow or cloud, two pixels wider than it says."""
        wide = Lattice(
            lattice.grid, lattice.row - DILATION, lattice.column - DILATION,
            lattice.height + 2 * DILATION, lattice.width + 2 * DILATION,
        )  # fmt: skip
        with self._opener(file) as dataset:
            classes, inside = sample(Source(dataset, (file.bands[0].index,), -1), wide, "nearest")
        clouded = clouded_classes(classes[0]) & inside[0]
        wider: Mask = ndimage.binary_dilation(clouded, _DISC)[DILATION:-DILATION, DILATION:-DILATION]
        masked: Mask = wider | ~inside[0][DILATION:-DILATION, DILATION:-DILATION]
        return masked


def clouded_classes(classes: Floats) -> Mask:
    """Return where scene classes cannot be mapped."""
    clouded: Mask = np.isin(classes, CLOUDED)
    return clouded


def files_of(stacks: tuple[Stack, ...]) -> list[FileRead]:
    """Return every file of stacks, in order."""
    return list(chain.from_iterable(layer.files for stack in stacks for layer in stack.layers))


def _first_valid(layers: list[tuple[Floats, Mask]]) -> tuple[Floats, Mask]:
    meeting = [layer for layer in layers if layer[1].any()]
    values, valid = (meeting or layers)[0]
    for more, here in meeting[1:]:
        new = here & ~valid
        values[:, new] = more[:, new]
        valid = valid | here
    return values, valid


def _median(stacks: list[tuple[Floats, Mask]]) -> tuple[Floats, Mask]:
    """Return the median over the stacks that are valid at each pixel (band, y, x), and where any is (y, x)."""
    if len(stacks) == 1:
        return stacks[0]
    valid = np.stack([v for _, v in stacks])
    ordered = np.sort(np.stack([np.where(v, x, np.inf) for x, v in stacks]), axis=0)
    number = np.maximum(valid.sum(axis=0), 1)
    lower = np.take_along_axis(ordered, np.broadcast_to((number - 1) // 2, ordered.shape[1:])[None], axis=0)[0]
    upper = np.take_along_axis(ordered, np.broadcast_to(number // 2, ordered.shape[1:])[None], axis=0)[0]
    some: Mask = np.asarray(valid.any(axis=0))
    return np.where(some, (lower + upper) / 2, 0.0), some
