"""How well each class fits the geography of a place: the seven priors of every window, and what they say of it."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.cards import Geometry
from models.priors import SOME_BUILT, WEIGHTS, geographic_distance, imperviousness

UNKNOWN: Final = 255
# Priors of less than this share of the weights are too little to judge a class by.
FEWEST_KNOWN: Final = 0.05
_ALL_BANDS: Final = 10
_ROWS_AT_ONCE: Final = 16

Floats = NDArray[np.float64]


def consistency(reflectance: NDArray[Any], morphology: NDArray[Any], geometry: Geometry) -> NDArray[np.uint8]:
    """Return how consistent each class is with the geography of every node, (class, node y, node x), in percent.

    It is 100 exp(-D_c), D_c the distance of `models.priors.geographic_distance` from the window's priors: 100 inside
    all of the class's intervals (Stewart & Oke 2012), 37 one sigma outside them; UNKNOWN where the priors known weigh
    less than FEWEST_KNOWN. `reflectance` (band, y, x) and `morphology` (6, y, x) cover one tile with its halo.
    """
    priors, known = node_priors(reflectance, morphology, geometry)
    out = np.empty((17, *priors.shape[1:]), np.uint8)
    for top in range(0, out.shape[1], _ROWS_AT_ONCE):  # all at once would not fit the processor's caches
        rows = slice(top, top + _ROWS_AT_ONCE)
        out[:, rows] = np.rint(100 * np.exp(-geographic_distance(priors[:, rows], known[:, rows])))
    judged = np.tensordot(WEIGHTS, known, axes=1) >= FEWEST_KNOWN * WEIGHTS.sum()
    return np.where(judged, out, UNKNOWN).astype(np.uint8)


def node_priors(reflectance: NDArray[Any], morphology: NDArray[Any], geometry: Geometry) -> tuple[Floats, Floats]:
    """Return the priors of every node's window and how far each is known, both (7, node y, node x).

    The numbers of `models.priors.window_priors`, from running sums. Without the ten bands sealed ground cannot be told
    from plants: the impervious and pervious shares are unknown.
    """
    form = morphology.astype(np.float64)
    valid = form[5]
    built_map, open_map = form[0] * valid, np.maximum(1 - form[0], 1 / 16) * valid
    infrared = len(reflectance) == _ALL_BANDS
    sealed_map = imperviousness(reflectance) if infrared else np.zeros(valid.shape)
    share, covered, ground, sky, wall, volume, sealed = _window_means(
        (valid, built_map, open_map, form[3] * open_map, np.expm1(1.5 * form[4]) * open_map,
         np.expm1(4 * form[1]) * built_map, sealed_map), geometry,
    )  # fmt: skip
    built, below = covered / np.maximum(share, 1e-6), np.maximum(ground, 1e-6)
    impervious = np.maximum(sealed - built, 0.0)
    height = volume / np.maximum(covered, 1e-6)
    rough = np.clip(7 + 1.15 * np.log(np.maximum(0.1 * height, 1e-3)), 1, 8)
    priors = np.stack((sky / below, wall / below, built, impervious, 1 - built - impervious, height, rough))
    inhabited = np.minimum(built / SOME_BUILT, 1.0)
    trusted = share * np.maximum(inhabited, np.clip((0.2 - impervious) / 0.1, 0, 1)) * infrared
    known = np.stack((share, share, share, trusted, trusted, share * inhabited, share * inhabited))
    return priors, known


def _window_means(maps: tuple[NDArray[Any], ...], geometry: Geometry) -> list[Floats]:
    """Average each map (y, x) over the window of every node, (node y, node x).

    A tile's own running sums: so the numbers depend on the tile only, not on what is computed beside it.
    """
    window, step = geometry.window, geometry.step
    first = geometry.halo - math.ceil((window - step) / 2)
    starts = first + step * np.arange(geometry.tile // step)
    means = []
    for layer in maps:
        sums = np.zeros((layer.shape[0] + 1, layer.shape[1] + 1))
        sums[1:, 1:] = layer.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
        rows = sums[starts + window] - sums[starts]
        # Differences of large sums may end a hair below zero.
        means.append(np.maximum(rows[:, starts + window] - rows[:, starts], 0.0) / window**2)
    return means
