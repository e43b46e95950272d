"""How well the borders of a map follow those of the truth, and into how small patches it falls."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label

Codes = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]

_AROUND: Final = np.ones((3, 3), np.bool_)


def border_pixels(codes: Codes, known: Mask) -> Mask:
    """Return the pixels (y, x) whose right or lower neighbour has another class, both known: lines one pixel wide."""
    found = np.zeros(codes.shape, np.bool_)
    found[:, :-1] |= (codes[:, :-1] != codes[:, 1:]) & known[:, :-1] & known[:, 1:]
    found[:-1] |= (codes[:-1] != codes[1:]) & known[:-1] & known[1:]
    return found


def boundary_f1(mapped: Codes, truth: Codes) -> float:
    """Return the F1 of the map's border pixels against the truth's, each (y, x) class codes, 0 for unknown.

    A border pixel of one is matched where the other has one among itself and its eight neighbours; precision is the
    matched share of the map's, recall that of the truth's (boundary F1 of Csurka et al. 2013, at one pixel). Only
    pixels count that both know. 1 where neither has a border, 0 where one alone has.
    """
    known = (mapped > 0) & (truth > 0)
    ours, theirs = border_pixels(mapped, known), border_pixels(truth, known)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    precision = float(binary_dilation(theirs, _AROUND)[ours].mean())
    recall = float(binary_dilation(ours, _AROUND)[theirs].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def patch_sizes(codes: Codes) -> NDArray[np.int64]:
    """Return the pixels in each patch of a map: connected through the four sides, of one class; 0 is none."""
    sizes = [np.bincount(label(codes == code)[0].ravel())[1:] for code in np.unique(codes[codes > 0])]
    return np.concatenate([np.zeros(0, np.int64), *sizes]).astype(np.int64)
