"""A quick look at a remote image: its overviews on a coarse grid over the job's area."""

from __future__ import annotations

import math
from typing import Final

from jobs.area import Grid
from jobs.settings import Settings
from worker.imagery.remote import remote_raster
from worker.imagery.sampling import Floats, Lattice, Mask, Source, sample

_SIDE: Final = 128


def coarse_grid(grid: Grid, side: int = _SIDE) -> Grid:
    """Return a grid of at most `side` x `side` pixels over a grid; a small grid is returned as it is."""
    factor = math.ceil(max(grid.shape) / side)
    height, width = (math.ceil(n / factor) for n in grid.shape)
    return Grid(grid.crs, grid.left, grid.top, grid.resolution * factor, width, height)


def read_coarse(href: str, coarse: Grid, settings: Settings) -> tuple[Floats, Mask]:
    """Return an image's first band under the centres of the coarse grid's pixels (y, x), and where the image is."""
    with remote_raster(href, settings) as dataset:
        factor = coarse.resolution / dataset.res[0]
        levels = [i for i, size in enumerate(dataset.overviews(1)) if size <= factor]
        if not levels:
            values, valid = sample(Source(dataset, (1,), -1), _whole(coarse), "nearest")
            return values[0], valid[0]
    with remote_raster(href, settings, overview=levels[-1]) as dataset:
        values, valid = sample(Source(dataset, (1,), -1), _whole(coarse), "nearest")
    return values[0], valid[0]


def _whole(coarse: Grid) -> Lattice:
    return Lattice(coarse, 0, 0, coarse.height, coarse.width)
