"""Imagery as colours to look at, 1 to 255: by one fixed stretch, so that blocks, dates and jobs can be compared."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

COLOURS: Final = ("red", "green", "blue")

# Chosen by eye among straight lines to 0.30 and roots up to 0.40: forest, fields, a town and white roofs of Level-2A
# scenes all keep their contrasts. Level-1C keeps the blue of the air, which the network sees as well.
WHITE: Final = 0.30
GAMMA: Final = 1.4
_STEPS: Final = 10_000  # of reflectance, as Sentinel-2 tells it
_TABLE: Final[Bytes] = np.rint(1 + 254 * (np.arange(WHITE * _STEPS + 1) / (WHITE * _STEPS)) ** (1 / GAMMA)).astype(
    np.uint8
)


def of_reflectance(values: NDArray[Any]) -> Bytes:
    """Return reflectance as bytes of colour, from 1 for none or less to 255 for WHITE or more; shapes are kept."""
    steps = np.clip(np.rint(values * np.float32(_STEPS)), 0, len(_TABLE) - 1).astype(np.intp)
    return _TABLE[steps]


def of_numbers(values: NDArray[Any]) -> Bytes:
    """Return the numbers of a picture, 0-1, as the bytes they came as, but 1 for 0; shapes are kept."""
    return np.clip(np.rint(values * np.float32(255)), 1, 255).astype(np.uint8)
