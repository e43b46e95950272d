"""The units that can decide a class, what is decided about parcels, and what a block of the map then holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Mode = Literal["auto", "pixel", "scene", "parcel"]

# Codes of the `units` raster; a parcel that abstains has ABSTAIN and its pixels go by the scene.
ABSTAIN: Final = 0
PIXEL: Final = 1
SCENE: Final = 2
PARCEL: Final = 3
BLOCK: Final = 4
UNIT_NAMES: Final = ("abstain", "pixel", "scene", "parcel", "block")

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Rows = NDArray[np.integer[Any]]


def without_cells(units: Bytes) -> Bytes:
    """Return units (codes) of a product without scene cells: the pixel decides where a cell would have."""
    return np.where(units == SCENE, PIXEL, units).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was decided about n parcels, in the order of their table.

    `mean` (n, class) sums to 1, or is all 0 without imagery; `top` and `second` are class codes (0: none); `purity` is
    the probability of `top`, `entropy` is normalised to 0-1. These five are the parcel's own, but where its block
    decided they are the block's: its class is the parcel's. `valid_fraction` and `pixels` are always its own. `unit` is
    a code of `UNIT_NAMES`; `reason` says why a parcel did not decide for itself, and is empty where it did.
    """

    mean: Floats
    top: Bytes
    second: Bytes
    purity: Floats
    entropy: Floats
    valid_fraction: Floats
    pixels: Floats
    unit: Bytes
    reason: NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Decided:
    """One block of the map, each (y, x) uint8: class codes, top probability in percent, deciding unit; 0 is nodata.

    `parcel` (y, x) is the row of the parcel that each pixel belongs to, -1 where it belongs to none.
    """

    map: Bytes
    confidence: Bytes
    units: Bytes
    parcel: NDArray[np.int32]
