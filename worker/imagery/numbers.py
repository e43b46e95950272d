"""The numbers of uploaded images: how they become what the network reads, and whether that can be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jobs.errors import BadImage, NoImagery
from jobs.record import Warned
from jobs.request import Imagery as ImageryInput
from jobs.uploads import UploadRecord
from models.cards import Card
from models.errors import Fault
from worker.imagery.block import Imagery
from worker.imagery.plan import ImageryPlan

POINTER: Final = "/inputs/imagery"
_HIGHEST_REFLECTANCE: Final = 1.6
_PROBE: Final = 64
_PROBES: Final = 3
_OFFSET_FLOOR: Final = 0.1


@dataclass(frozen=True, slots=True)
class Numbers:
    """Scale and offset of each band of a file, why, and whether they are a guess."""

    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    why: str
    guessed: bool = False


def decide_numbers(record: UploadRecord, count: int, imagery: ImageryInput, card: Card) -> Numbers:
    """Decide how the first `count` bands of a file become what a card reads.

    As the request says, else the file's tags, else as is usual for its type; of a picture only bytes have a usual
    scale, and `worker.imagery.stretching` decides on all others.
    """
    facts = record.facts
    picture = card.input.reflectance == "digital"
    scales, offsets = tuple(facts["scales"][:count]), tuple(facts["offsets"][:count])
    tagged = not picture and (any(s not in {0.0, 1.0} for s in scales) or any(offsets))
    if imagery.scale is not None or (imagery.offset is not None and not tagged):
        scale = imagery.scale if imagery.scale is not None else _usual(facts["dtype"])
        return Numbers((scale,) * count, (imagery.offset or 0.0,) * count, "scale and offset as the request gives them")
    if tagged:
        given = offsets if imagery.offset is None else (imagery.offset,) * count
        return Numbers(tuple(s or 1.0 for s in scales), given, "scale and offset as the file's own tags give them")
    zeros = (0.0,) * count
    if picture and facts["dtype"] != "uint8":
        return Numbers((1.0,) * count, zeros, f"{facts['dtype']} as it is")
    scale = _usual(facts["dtype"])
    if scale == 1.0:
        return Numbers((1.0,) * count, zeros, "floating-point numbers are reflectance")
    why = f"{facts['dtype']} was taken to be {'0-1' if picture else 'reflectance'} divided by {scale:.4g}"
    return Numbers((scale,) * count, zeros, why, guessed=not picture)


def _usual(dtype: str) -> float:
    if np.dtype(dtype).kind == "f":
        return 1.0
    return 1 / 255 if dtype == "uint8" else 0.0001


def check_numbers(plan: ImageryPlan, card: Card, imagery: Imagery) -> ImageryPlan:
    """Read a few windows and return the plan, with what they showed as warnings.

    Raises BadImage where the numbers cannot be reflectance, NoImagery where nothing in the area is valid.
    """
    values = _probe(plan, imagery)
    if not values.size:
        raise NoImagery(
            "the uploaded image holds no valid pixel in the area of interest; check its no-data value and masks"
        )
    median = np.median(values, axis=1)
    wrong = [
        f"{band} {m:.4g}"
        for band, m in zip(card.input.bands, median, strict=True)
        if not 0 <= m <= _HIGHEST_REFLECTANCE
    ]
    if wrong:
        msg = (
            f"the image's numbers are not reflectance (medians: {', '.join(wrong[:10])}; expected 0 to 1): give "
            "imagery.scale and imagery.offset, so that reflectance = number * scale + offset"
        )
        raise BadImage(msg, faults=[Fault(f"{POINTER}/scale", "reflectance outside 0 to 1.6")])
    assumed = any(w.code == "scale-assumed" for w in plan.warnings)
    if assumed and float(np.percentile(values, 1)) >= _OFFSET_FLOOR:
        detail = (
            "no pixel of any band is darker than 0.1: if the numbers carry the +1000 of Sentinel-2 baselines 04.00 and "
            "later, give imagery.scale 0.0001 and imagery.offset -0.1"
        )
        return plan.model_copy(update={"warnings": (*plan.warnings, Warned(code="offset-suspected", detail=detail))})
    return plan


def _probe(plan: ImageryPlan, imagery: Imagery) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return valid reflectance (band, n) of up to 3 x 3 windows spread over the grid."""
    grid = plan.pixel_grid
    found = []
    for row in _starts(grid.height):
        for column in _starts(grid.width):
            image = imagery.read(row, column, min(_PROBE, grid.height), min(_PROBE, grid.width))
            found.append(image.reflectance[:, image.valid])
    return np.concatenate(found, axis=1)


def _starts(length: int) -> list[int]:
    return sorted({int(v) for v in np.linspace(0, max(0, length - _PROBE), _PROBES)})
