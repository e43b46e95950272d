"""What masks look like, as numbers: colour, texture, shape, and what touches and surrounds them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from worker.annotation.layers import AROUND, COLOURS, DIRECTIONS, LAYERS, TEXTURES, layers_of
from worker.annotation.regions import Contacts, contacts_of, sums_of
from worker.annotation.segments import Labels
from worker.annotation.shapes import SHAPES, shapes_of

Rows = NDArray[np.float64]

_OWN: Final = (*COLOURS, *TEXTURES)
_SPREADS: Final = tuple(f"{name}_spread" for name in _OWN)
_COHERENCES: Final = ("coherence", "corners")
_RING: Final = ("ring_step", "ring_darkest", "ring_brightest", "ring_count", "ring_none")
FEATURES: Final = (
    *_OWN,
    *_SPREADS,
    *_COHERENCES,
    *SHAPES,
    *AROUND,
    *(f"{name}_ring" for name in _OWN),
    *(f"{name}_ring_spread" for name in _OWN),
    *(f"{name}_over_ring" for name in _OWN),
    *_RING,
    *(f"{name}_beyond" for name in (*_OWN, *_SPREADS)),
    *(f"{name}_rank" for name in _OWN),
    *(f"{name}_image_{share}" for share in ("low", "middle", "high") for name in _OWN),
)
"""The columns of `describe_masks` in their order."""
_TINY: Final = 1e-6
_FAINT: Final = 0.05  # a texture nobody sees, in L


def describe_masks(image: NDArray[np.uint8], labels: Labels, valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return (n, len(FEATURES)): row k describes mask k + 1 of the n in labels (y, x), whatever their numbers.

    Of an RGB image (3, y, x) uint8; pixels that are not `valid` (y, x) count for nothing. Colours and textures are
    those of `layers.LAYERS`, textures as logarithms; shapes those of `shapes.SHAPES`; the ring is what touches a mask,
    weighted by the length of their border, and beyond is what touches that. All are finite. Holds 88 bytes a pixel: it
    is for tiles, not for whole cities. Raises ValueError for other shapes or types.
    """
    if image.dtype != np.uint8 or image.shape != (3, *valid.shape) or labels.shape != valid.shape:
        raise ValueError(
            f"masks are described in (3, y, x) uint8 with labels and valid (y, x), not {image.shape} {image.dtype}, "
            f"{labels.shape} and {valid.shape}"
        )
    count, own = int(labels.max(initial=0)), len(_OWN)
    layers = layers_of(image, valid)
    sums = sums_of(labels, layers, count)[1:]
    means, spreads = _means(sums)
    seen, varied, (directions, around) = _toned(means), _toned(spreads), np.split(means[:, own:], [len(DIRECTIONS)], 1)
    touching = contacts_of(labels, layers[..., : len(COLOURS)])
    columns = [
        seen,
        varied,
        _coherences(means[:, _OWN.index("gradient")], directions),
        shapes_of(labels, count),
        around,
        _ring(touching, seen),
        _beyond(touching, np.concatenate([seen, varied], axis=1)),
        _in_image(seen),
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _means(sums: Rows) -> tuple[Rows, Rows]:
    """Return means and spreads (n, layer) of sums as `sums_of` gives them."""
    pixels, layers = np.maximum(sums[:, :1], 1), len(LAYERS)
    means = sums[:, 1 : 1 + layers] / pixels
    return means, np.sqrt(np.maximum(sums[:, 1 + layers :] / pixels - means**2, 0))


def _toned(values: Rows) -> Rows:
    """Return the colours of layers (n, layer) as they are and the textures as logarithms: (n, len(_OWN))."""
    colours, textures = values[:, : len(COLOURS)], values[:, len(COLOURS) : len(_OWN)]
    return np.concatenate([colours, np.log(np.maximum(textures, 0) + _FAINT)], axis=1)


def _coherences(slopes: Rows, directions: Rows) -> Rows:
    """Return (n, 2): how much slopes point one way or its opposite, and how much along two at right angles; 0-1."""
    pairs = directions.reshape(len(directions), 2, 2)
    return np.asarray(np.linalg.norm(pairs, axis=2) / np.maximum(slopes, _TINY)[:, None])


def _sides(touching: Contacts) -> tuple[NDArray[np.int64], NDArray[np.int64], Rows]:
    """Return for both sides of every contact the row of the mask, that of its neighbour, and the border's length."""
    sides = np.concatenate([touching.pairs, touching.pairs[:, ::-1]]).astype(np.int64) - 1
    return sides[:, 0], sides[:, 1], np.tile(touching.lengths, 2).astype(np.float64)


def _neighbours(touching: Contacts, values: Rows) -> Rows:
    """Return the mean of what touches each mask, of values (n, column); its own where nothing does."""
    mine, theirs, weights = _sides(touching)
    lengths = np.bincount(mine, weights, len(values))
    columns = [np.bincount(mine, weights * column, len(values)) for column in values[theirs].T]
    means = np.stack(columns, axis=1) / np.maximum(lengths, 1)[:, None]
    return np.where(lengths[:, None] > 0, means, values)


def _ring(touching: Contacts, seen: Rows) -> Rows:
    """Return what touches each mask (n, 3 * len(_OWN) + len(_RING)): means, spreads, own less theirs, the extremes."""
    mine, theirs, weights = _sides(touching)
    count = len(seen)
    means = _neighbours(touching, seen)
    some = np.maximum(np.bincount(mine, weights, count), 1)
    apart = ((seen[theirs] - means[mine]) ** 2).T
    spreads = np.sqrt(np.stack([np.bincount(mine, weights * square, count) / some for square in apart], axis=1))
    light, ends = seen[theirs, 0] - seen[mine, 0], np.zeros((2, count))
    np.minimum.at(ends[0], mine, light)
    np.maximum.at(ends[1], mine, light)
    step = np.bincount(mine, weights * np.tile(touching.steps, 2), count) / some
    number = np.bincount(mine, minlength=count)
    extremes = np.stack([step, *ends, np.log1p(number), number == 0], axis=1)
    return np.concatenate([means, spreads, seen - means, extremes], axis=1)


def _beyond(touching: Contacts, values: Rows) -> Rows:
    """Return the mean (n, column) of what touches a mask's neighbours, itself among them."""
    return _neighbours(touching, _neighbours(touching, values))


def _in_image(seen: Rows) -> Rows:
    """Return (n, 4 * len(_OWN)): each mask's rank among those of its image, 0-1, and three quantiles of them all."""
    if not len(seen):
        return np.zeros((0, 4 * seen.shape[1]))
    ranks = rankdata(seen, axis=0) / len(seen)
    quantiles = np.quantile(seen, (0.1, 0.5, 0.9), axis=0).ravel()
    return np.concatenate([ranks, np.broadcast_to(quantiles, (len(seen), len(quantiles)))], axis=1)
