"""Stretches pictures that are not of bytes, once for a whole job: between the percentiles of all their valid pixels."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from jobs.errors import BadImage
from jobs.record import Warned
from models.errors import Fault
from worker.imagery.block import Opener, files_of
from worker.imagery.glances import glance
from worker.imagery.numbers import POINTER
from worker.imagery.plan import BandRead, FileRead, ImageryPlan, Layer, Stack
from worker.imagery.sampling import Floats

PERCENTILES: Final = (2.0, 98.0)


def stretched(plan: ImageryPlan, opener: Opener) -> ImageryPlan:
    """Return the plan with scale and offset of every band that is not of bytes, so that most of its numbers fill 0-1.

    Band by band, from percentiles over all such files of the job together: neighbouring tiles keep their differences,
    and all blocks agree. Raises BadImage for a band of one number only.
    """
    files = [f for f in files_of(plan.stacks) if not _of_bytes(f, opener)]
    found = {band: values for band, values in _values(files, plan, opener).items() if values.size}
    if not found:
        return plan
    limits = {band: limits_of(band, values, f"{POINTER}/uploads") for band, values in found.items()}
    told = ", ".join(f"{band} {low:.6g} to {high:.6g}" for band, (low, high) in limits.items())
    detail = f"numbers that are not bytes were stretched to 0-1 between their 2nd and 98th percentile: {told}"
    warned = Warned(code="image-stretched", detail=detail)
    return plan.model_copy(
        update={
            "stacks": tuple(_stack(stack, files, limits) for stack in plan.stacks),
            "warnings": (*plan.warnings, warned),
        }
    )


def _of_bytes(file: FileRead, opener: Opener) -> bool:
    with opener(file) as dataset:
        return all(dataset.dtypes[band.index - 1] == "uint8" for band in file.bands)


def _values(files: list[FileRead], plan: ImageryPlan, opener: Opener) -> dict[str, Floats]:
    """Return valid numbers of each band, spread evenly over the job's grid."""
    found: dict[str, list[Floats]] = defaultdict(list)
    for file in files:
        for band, values, here in zip(file.bands, *glance(file, plan, opener), strict=True):
            found[band.band].append(values[here])
    return {band: np.concatenate(values) for band, values in found.items()}


def limits_of(band: str, values: NDArray[Any], pointer: str) -> tuple[float, float]:
    """Return the numbers of a band that are shown as 0 and as 1; raises BadImage, at `pointer`, for one number only."""
    low, high = (float(v) for v in np.percentile(values, PERCENTILES))
    if low < high:
        return low, high
    msg = f"nearly all pixels of the band {band} hold one number ({low:.6g}): there is nothing to see in the image"
    raise BadImage(msg, faults=[Fault(pointer, f"{band} holds one number")])


def _stack(stack: Stack, files: list[FileRead], limits: dict[str, tuple[float, float]]) -> Stack:
    def scaled(file: FileRead) -> FileRead:
        if file not in files:
            return file
        bands = tuple(_band(band, limits) for band in file.bands)
        return file.model_copy(update={"bands": bands, "why": "stretched between percentiles of the whole job"})

    layers: list[Layer] = [
        layer.model_copy(update={"files": tuple(map(scaled, layer.files))}) for layer in stack.layers
    ]
    return stack.model_copy(update={"layers": tuple(layers)})


def _band(band: BandRead, limits: dict[str, tuple[float, float]]) -> BandRead:
    if band.band not in limits:
        return band
    low, high = limits[band.band]
    return band.model_copy(update={"scale": 1 / (high - low), "offset": -low / (high - low)})
