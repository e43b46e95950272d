"""Compiles what workers compute with, ahead of the first job: `python -m worker.kernels`.

numba compiles on the first call, for the types of that call, and keeps the machine code in `NUMBA_CACHE_DIR`. So each
public function is called once here as the steps of a job call it. Images of the worker do so as they are built; a
test maps a city and finds that nothing was left to compile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from models.morphology import burn, morphology
from worker.annotation.features import describe_masks
from worker.annotation.masks import find_masks
from worker.parcels.zonal import coverage_sums

_SIDE = 64
_PIXEL = 10.0


def compile_kernels() -> None:
    """Call every compiled function with the types that jobs bring."""
    squares = _squares()
    grid = Affine(_PIXEL, 0.0, 0.0, 0.0, -_PIXEL, 0.0)
    covered = np.ones((_SIDE, _SIDE), np.bool_)
    morphology(squares, np.linspace(3.0, 30.0, len(squares)), grid, covered.shape, covered)
    burn(squares, np.arange(len(squares)) + 1, (0.0, 0.0), _PIXEL, covered.shape)
    probabilities = np.full((17, _SIDE, _SIDE), 15, np.uint8)
    coverage_sums(squares, probabilities, probabilities.max(axis=0) > 0, grid)
    image = np.random.default_rng(0).integers(0, 255, (3, 2 * _SIDE, 2 * _SIDE), np.uint8)
    valid = np.ones(image.shape[1:], np.bool_)
    describe_masks(image, find_masks(image, valid).labels, valid)


def _squares() -> NDArray[Any]:
    """Return houses (n,) on the ground of the grid, one of them with a court."""
    corners = np.arange(50.0, 500.0, 90.0)
    found = [shapely.box(x, -y - 40.0, x + 40.0, -y) for x in corners for y in corners]
    found[0] = found[0].difference(shapely.box(60.0, -80.0, 70.0, -70.0))
    return np.array(found, dtype=object)


if __name__ == "__main__":
    compile_kernels()
