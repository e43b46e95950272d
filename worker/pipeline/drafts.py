"""Draft pictures of blocks: what pages show of a map while it is being made."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from PIL import Image

from models.cards import Card
from models.classes import NODATA
from worker.pipeline.probabilities import Probabilities

SIDE: Final = 240
_CLEAR: Final = (0, 0, 0)


def draw(values: Probabilities, card: Card) -> bytes:
    """Return a PNG of the likeliest class of every node, by the probabilities (class, node row, node column).

    No parcel and no filter has a say. Its palette are the card's colours by raster code; where there was no imagery it
    is transparent. It has at most `SIDE` pixels a side: of more nodes, those nearest to each pixel's centre are drawn.
    The same values give the same bytes.
    """
    rows, columns = (_drawn(nodes) for nodes in values.shape[1:])
    image = Image.fromarray(_codes(values[:, rows][:, :, columns], card))
    image.putpalette(np.array([_CLEAR, *(told.rgb for told in card.classes)], np.uint8).tobytes())
    data = io.BytesIO()
    image.save(data, "PNG", transparency=NODATA, compress_level=4)
    return data.getvalue()


def _drawn(nodes: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Return which of so many nodes in a row are drawn."""
    pixels = min(nodes, SIDE)
    return (2 * np.arange(pixels) + 1) * nodes // (2 * pixels)


def _codes(values: Probabilities, card: Card) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the code (y, x) of the likeliest class, the first of several alike; NODATA where all are 0."""
    codes = np.array([told.code for told in card.classes], np.uint8)[values.argmax(axis=0)]
    return np.where(values.any(axis=0), codes, np.uint8(NODATA))
