"""Smooths probabilities as far as each class's own size allows: the per-class Gaussian filter before any unit decides.

A Local Climate Zone is a notion of hundreds of metres, and not of the same hundreds for every class: a lake may be 50 m
wide, an industrial area is not. Radii and sigmas are those of Demuzere et al. 2020 (Scientific Data 7, 264). Their
kernels are Earth Engine's: a Gaussian cut off by a square of `radius` to each side, which makes it separable.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.classes import MapClass
from models.compiled import compiled

Bytes = NDArray[np.uint8]
Reals = NDArray[np.float32]

# Radius and sigma in metres, by the label of the class.
METRES: Final[dict[str, tuple[float, float]]] = {
    "1": (200.0, 100.0),
    **dict.fromkeys(("2", "3", "4", "5", "6", "7", "9", "E"), (300.0, 150.0)),
    **dict.fromkeys(("8", "10"), (500.0, 250.0)),
    **dict.fromkeys(("A", "B", "C", "D", "F"), (200.0, 75.0)),
    "G": (50.0, 25.0),
}


def reach(resolution: float, scale: float = 1.0) -> int:
    """Return how many pixels of `resolution` metres around a window `smooth` looks at; 0 where `scale` is 0."""
    return max(_radius(radius, resolution, scale) for radius, _ in METRES.values())


def smooth(values: Bytes, *, resolution: float, classes: tuple[MapClass, ...], scale: float = 1.0) -> Bytes:
    """Filter probabilities (class, y, x), 255 for 1 and all 0 without imagery, each class with its own Gaussian.

    `resolution` is the pixel's side in metres; `scale` multiplies every radius and sigma, 0 filters nothing. Each class
    is divided by the filtered imagery, so that borders and holes do not darken what lies beside them; pixels without
    imagery stay 0. A pixel's classes are then divided by their sum and rounded to the nearest 255th: they sum to 255 up
    to that rounding, as the served network's do. Land cover has no such table and comes back as it is.

    A window with `reach` pixels around it (fewer where the raster ends) gives the same bytes as the whole raster: every
    pixel is summed in float32 in one order, and what lies beyond the raster counts as no imagery. Raises ValueError for
    a scale below 0 or a resolution that is not above 0.
    """
    if not (scale >= 0 and resolution > 0):
        msg = f"the filter needs a resolution above 0 and a scale of 0 or more, not {resolution} and {scale}"
        raise ValueError(msg)
    if not {kind.label for kind in classes} <= METRES.keys() or reach(resolution, scale) == 0 or not values.size:
        return values
    seen = values.any(axis=0)
    scratch = np.empty(seen.shape, np.float32)
    total = np.zeros(seen.shape, np.float32)
    filtered = np.empty(values.shape, np.float32)
    weights: dict[tuple[float, float], Reals] = {}
    for plane, kind, out in zip(values, classes, filtered, strict=True):
        metres = METRES[kind.label]
        taps = _taps(*metres, resolution=resolution, scale=scale)
        if metres not in weights:
            weights[metres] = np.empty(seen.shape, np.float32)
            _convolve(seen.view(np.uint8), taps, scratch, weights[metres])
        _convolve(plane, taps, scratch, out)
        _divide(out, weights[metres], seen, total)
    result = np.zeros(values.shape, np.uint8)
    _as_bytes(filtered, total, result)
    return result


def _radius(metres: float, resolution: float, scale: float) -> int:
    return int(np.floor(metres * scale / resolution + 0.5))


def _taps(radius: float, sigma: float, *, resolution: float, scale: float) -> Reals:
    """Return the middle and the right half of one axis of the kernel, (1 + radius in pixels,)."""
    away = np.arange(_radius(radius, resolution, scale) + 1)
    if len(away) == 1:
        return np.ones(1, np.float32)
    half = np.exp(-0.5 * (away * resolution / (sigma * scale)) ** 2)
    taps: Reals = (half / (2 * half.sum() - half[0])).astype(np.float32)
    return taps


@compiled
def _convolve(plane: Any, taps: Any, scratch: Any, out: Any) -> None:  # noqa: C901, PLR0912 - compiled: plain loops
    """Filter along y, then along x; a row at a time, so that every tap is one pass over contiguous numbers."""
    height, width = plane.shape
    radius = len(taps) - 1
    padded = np.zeros(width + 2 * radius, np.float32)
    for y in range(height):
        for x in range(width):
            scratch[y, x] = plane[y, x]
    for y in range(height):
        line = padded[radius : radius + width]
        for x in range(width):
            line[x] = scratch[y, x] * taps[0]
        for k in range(1, radius + 1):
            up, down = y - k, y + k
            if up >= 0 and down < height:
                for x in range(width):
                    line[x] += taps[k] * (scratch[up, x] + scratch[down, x])
            elif up >= 0:
                for x in range(width):
                    line[x] += taps[k] * scratch[up, x]
            elif down < height:
                for x in range(width):
                    line[x] += taps[k] * scratch[down, x]
        target = out[y]
        for x in range(width):
            target[x] = line[x] * taps[0]
        for k in range(1, radius + 1):
            left, right = padded[radius - k :], padded[radius + k :]
            for x in range(width):
                target[x] += taps[k] * (left[x] + right[x])


@compiled
def _divide(out: Any, weight: Any, seen: Any, total: Any) -> None:
    """Divide by the filtered imagery and add up the classes; nothing where there is no imagery."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            if seen[y, x]:
                out[y, x] /= weight[y, x]
                total[y, x] += out[y, x]
            else:
                out[y, x] = 0.0


@compiled
def _as_bytes(filtered: Any, total: Any, out: Any) -> None:
    for k in range(filtered.shape[0]):
        for y in range(filtered.shape[1]):
            for x in range(filtered.shape[2]):
                if total[y, x] > 0:
                    out[k, y, x] = np.uint8(255.0 * filtered[k, y, x] / total[y, x] + 0.5)
