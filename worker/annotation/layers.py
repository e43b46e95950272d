"""What is seen at a pixel of an image: its colour, its texture at several scales, and what lies around it."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from skimage.color import rgb2lab

Plane = NDArray[np.float32]

_SIGMAS: Final = (0.7, 1.4, 2.8, 5.6, 11.2)
# Sides in pixels of the windows that tell what lies around: a house and its garden, a block.
_WINDOWS: Final = (33, 129)
_TINY: Final = np.float32(1e-6)

_SEEN_AROUND: Final = ("l", "a", "b", "dog_1", "dog_3")

COLOURS: Final = ("l", "a", "b")
TEXTURES: Final = ("dog_1", "dog_2", "dog_3", "dog_4", "gradient")
DIRECTIONS: Final = ("twice_cos", "twice_sin", "fourfold_cos", "fourfold_sin")
AROUND: Final = tuple(f"{name}_within_{side}" for side in _WINDOWS for name in _SEEN_AROUND)
LAYERS: Final = (*COLOURS, *TEXTURES, *DIRECTIONS, *AROUND)
"""The layers of `layers_of` in their order.

Colours are CIELAB; `dog_k` the size of the difference of two Gaussians of L an octave apart, the finest first;
`gradient` the squared slope of L; directions that slope times the cosine and the sine of twice and four times its
angle; `_within_` the mean of a layer in a window.
"""


def layers_of(image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> Plane:
    """Return the layers (y, x, len(LAYERS)) of an RGB image (3, y, x); what is not `valid` takes its mean colour."""
    lab = rgb2lab(np.moveaxis(image, 0, -1).astype(np.float32) / np.float32(255)).astype(np.float32)
    lab[~valid] = lab[valid].mean(axis=0, dtype=np.float64) if valid.any() else 0
    layers = np.empty((*valid.shape, len(LAYERS)), np.float32)
    layers[..., : len(COLOURS)] = lab
    scales = [gaussian_filter(lab[..., 0], sigma, mode="nearest", truncate=3.0) for sigma in _SIGMAS]
    for k, (finer, coarser) in enumerate(pairwise(scales)):
        layers[..., LAYERS.index("dog_1") + k] = np.abs(finer - coarser)
    _write_slopes(scales[1], layers)
    _write_surroundings(valid, layers)
    return layers


def _write_slopes(plane: Plane, layers: Plane) -> None:
    """Write the squared slope of a plane (y, x) and its directions."""
    flat = min(plane.shape) == 1
    down, right = (np.zeros_like(plane), np.zeros_like(plane)) if flat else np.gradient(plane)
    squared, cosine, sine = down**2 + right**2, right**2 - down**2, 2 * down * right
    some = np.maximum(squared, _TINY)
    first = LAYERS.index("gradient")
    for k, layer in enumerate((squared, cosine, sine, (cosine**2 - sine**2) / some, 2 * cosine * sine / some)):
        layers[..., first + k] = layer


def _write_surroundings(valid: NDArray[np.bool_], layers: Plane) -> None:
    """Write the means of layers over the valid pixels of windows."""
    weights = valid.astype(np.float32)
    place = LAYERS.index(AROUND[0])
    for side in _WINDOWS:
        share = np.maximum(uniform_filter(weights, side, mode="constant"), _TINY)
        for name in _SEEN_AROUND:
            seen = uniform_filter(layers[..., LAYERS.index(name)] * weights, side, mode="constant")
            layers[..., place] = seen / share
            place += 1
