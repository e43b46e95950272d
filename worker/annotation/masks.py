"""Masks of an image without any trained network: segments at two levels, fused, merged, and stitched over seams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab

from worker.annotation.regions import Contacts, contacts_of, fuse, merge, renumbered, roots_of, spreads, sums_of
from worker.annotation.segments import Labels, Level, find, segment

TILE: Final = 1024
OVERLAP: Final = 128
_SIGMA: Final = 0.8
_FINE, _COARSE = Level(60.0, 80), Level(250.0, 400)
# What the fine level must gain in purity over the coarse one, as a ratio of spreads in Lab.
_GAIN: Final = 1.15
# Neighbours this near in Lab are one; 2.3 is a just noticeable difference.
_ALIKE: Final = 2.3
_SAME: Final = 0.8


Segmenter = Callable[[NDArray[np.uint8], NDArray[np.bool_]], Labels]
"""Labels (y, x) of an image (3, y, x) where pixels are valid (y, x), 0 where nothing was found."""


@dataclass(frozen=True, slots=True)
class Masks:
    """The masks of an image: `labels` (y, x) int32, 1..n in raster order of their first pixel, 0 where there is none.

    `scores` (n,) float32, 0-1: how clearly a mask stands out, the colour step across its border over that step and the
    spread within. A mask is one region of pixels, though not always in one piece.
    """

    labels: Labels
    scores: NDArray[np.float32]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.scores)


def find_masks(image: NDArray[np.uint8], valid: NDArray[np.bool_], segments: Segmenter | None = None) -> Masks:
    """Find the masks of an RGB image (3, y, x) uint8; pixels that are not `valid` (y, x) are in none.

    `segments` finds those of a tile by other means; where it finds none, and without it, Felzenszwalb's stand.

    The same image gives the same masks. Works in tiles of 1024 px, and beside the image and its labels holds three
    bytes a pixel. Raises ValueError for other shapes or types.
    """
    if image.dtype != np.uint8 or image.shape != (3, *valid.shape) or valid.dtype != np.bool_:
        raise ValueError(
            f"masks are found in (3, y, x) uint8 and (y, x) bool, not {image.shape} {image.dtype} and "
            f"{valid.shape} {valid.dtype}; stretch the image first"
        )
    labels = np.zeros(valid.shape, np.int32)
    lab = np.zeros((*valid.shape, 3), np.int8)
    owners = np.zeros(1, np.int64)
    for window in _tiles(valid.shape):
        found, colours = _segments(image[:, *window], valid[window], segments)
        lab[window] = np.rint(colours)
        owners = _stitch(labels, found, window, owners)
    stitched = renumbered(labels, roots_of(owners))
    # Where masks of two tiles did not meet, the seam has left splinters.
    joined = merge(stitched, lab, 0.0, _FINE.least)
    return Masks(joined, _scores(joined, lab))


def _tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Yield overlapping windows that cover an image, in raster order."""
    rows, columns = (range(0, max(size - OVERLAP, 1), TILE - OVERLAP) for size in shape)
    for row in rows:
        for column in columns:
            yield slice(row, min(row + TILE, shape[0])), slice(column, min(column + TILE, shape[1]))


def _segments(
    image: NDArray[np.uint8], valid: NDArray[np.bool_], segments: Segmenter | None
) -> tuple[Labels, NDArray[np.float32]]:
    """Return labels (y, x) of one tile and its colours in Lab (y, x, 3)."""
    lab = rgb2lab(np.moveaxis(image, 0, -1).astype(np.float32) / np.float32(255)).astype(np.float32)
    fine, coarse = segment(image, valid, (_FINE, _COARSE), _SIGMA)
    usual = fuse(fine, coarse, lab, _GAIN)
    if segments is None:
        return merge(usual, lab, _ALIKE, _FINE.least), lab
    found = np.ascontiguousarray(segments(image, valid), np.int32)
    both = np.where(found > 0, found, np.where(usual > 0, usual + int(found.max(initial=0)), 0)).astype(np.int32)
    numbered = renumbered(both, np.arange(int(both.max(initial=0)) + 1))
    return merge(numbered, lab, 0.0, _FINE.least), lab


def _stitch(labels: Labels, found: Labels, window: tuple[slice, slice], owners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Write a tile's labels behind the middle of its overlaps; returns the forest of labels that are the same mask."""
    first, count = len(owners), int(found.max(initial=0))
    owners = np.concatenate([owners, np.arange(first, first + count)])
    placed = np.where(found > 0, found + (first - 1), 0).astype(np.int32)
    rows, columns = window
    skips = [OVERLAP // 2 if part.start else 0 for part in window]
    over = [(slice(OVERLAP), slice(None))] if rows.start else []
    beside = [(slice(None), slice(OVERLAP))] if columns.start else []
    for strip in over + beside:
        roots = roots_of(owners)
        for old, new in _same(roots[labels[window][strip]], roots[placed[strip]]):
            a, b = find(owners, old), find(owners, new)
            owners[max(a, b)] = min(a, b)
    own = slice(skips[0], None), slice(skips[1], None)
    labels[window][own] = placed[own]
    return owners


def _same(old: NDArray[np.int64], new: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return pairs (n, 2) of masks of two tiles which in their overlap are the same by intersection over union."""
    both = (old > 0) & (new > 0)
    pairs, shared = np.unique((old[both] << 32) | new[both], return_counts=True)
    before, after = pairs >> 32, pairs & 0xFFFFFFFF
    union = np.bincount(old.ravel())[before] + np.bincount(new.ravel())[after] - shared
    same = shared >= _SAME * union
    return np.stack([before[same], after[same]], axis=1)


def _scores(labels: Labels, lab: NDArray[np.int8]) -> NDArray[np.float32]:
    count = int(labels.max(initial=0))
    touching = contacts_of(labels, lab)
    steps = _border_means(touching, count)
    within = spreads(sums_of(labels, lab, count))[1:]
    shares = np.where(np.isnan(steps), 1.0, steps / np.maximum(steps + within, 1e-6))
    return shares.astype(np.float32)


def _border_means(touching: Contacts, count: int) -> NDArray[np.float64]:
    """Return the mean colour step across each mask's border (n,), NaN where it touches no other."""
    sides, weights = touching.pairs.ravel(), np.repeat(touching.lengths, 2)
    steps = np.bincount(sides, weights * np.repeat(touching.steps, 2), count + 1)[1:]
    lengths = np.bincount(sides, weights, count + 1)[1:]
    return np.asarray(np.divide(steps, lengths, out=np.full(count, np.nan), where=lengths > 0))
