"""A first look at every file of a job: its numbers spread evenly over the job's grid, and which files hold none."""

from __future__ import annotations

from typing import Final

import numpy as np

from worker.imagery.block import Opener, files_of
from worker.imagery.coarse import coarse_grid
from worker.imagery.plan import FileRead, ImageryPlan
from worker.imagery.sampling import Floats, Lattice, Mask, Source, sample

# Pixels a side that are looked at: a quarter of a million of a large image.
_SIDE: Final = 512
_STRIP: Final = 16


def glance(file: FileRead, plan: ImageryPlan, opener: Opener) -> tuple[Floats, Mask]:
    """Return numbers of a file's bands and where they are valid, (band, y, x) each, on a grid of at most 512 x 512.

    It is read strip by strip: a file may be larger than the memory.
    """
    coarse = coarse_grid(plan.pixel_grid, _SIDE)
    strips = [
        Lattice(coarse, row, 0, min(_STRIP, coarse.height - row), coarse.width)
        for row in range(0, coarse.height, _STRIP)
    ]
    with opener(file) as dataset:
        source = Source(dataset, tuple(band.index for band in file.bands), file.nodata)
        seen = [sample(source, strip, "nearest") for strip in strips]
    return np.concatenate([values for values, _ in seen], axis=1), np.concatenate([valid for _, valid in seen], axis=1)


def empty_files(plan: ImageryPlan, opener: Opener) -> list[FileRead]:
    """Return the files of which no pixel looked at is valid in all its bands."""
    return [file for file in files_of(plan.stacks) if not glance(file, plan, opener)[1].all(axis=0).any()]
