"""Dense inference: a block is cut into tiles with a halo, two tiles are in flight, nodes come back without seams.

Tiles start at multiples of the card's tile size on the job's grid whatever the block size, and the network sees
the same pixels in the same order: so the same job gives the same bytes however it is cut into blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jobs.inference import TritonModels
from jobs.plan import Block
from jobs.tracing import carried
from models.cards import Card

Image = np.ndarray[Any, np.dtype[np.float32]]
Probabilities = np.ndarray[Any, np.dtype[np.uint8]]

IN_FLIGHT: Final = 2


@dataclass(frozen=True, slots=True)
class PaddedWindow:
    """The pixels a block's tiles see: whole tiles and a halo around them, on the job's grid."""

    row: int
    column: int
    height: int
    width: int


def padded_window(block: Block, card: Card) -> PaddedWindow:
    """Return the window of pixels that mapping a block takes."""
    tile, halo = card.geometry.tile, card.geometry.halo
    rows, columns = _tiles(block, card)
    return PaddedWindow(block.row - halo, block.column - halo, rows * tile + 2 * halo, columns * tile + 2 * halo)


def map_window(
    models: TritonModels,
    card: Card,
    block: Block,
    spectral: Image,
    morphology: Image | None,
    *,
    before_tile: Callable[[], None],
) -> Probabilities:
    """Return a block's probabilities (class, node row, node column), 255 p.

    `spectral` (band, y, x) and `morphology` (channel, y, x) cover `padded_window(block, card)`; `before_tile` is
    called before each tile and may raise to stop.
    """
    return map_window_with_extras(models, card, block, spectral, morphology, extras=(), before_tile=before_tile)[0]


def map_window_with_extras(
    models: TritonModels,
    card: Card,
    block: Block,
    spectral: Image,
    morphology: Image | None,
    *,
    extras: tuple[str, ...],
    before_tile: Callable[[], None],
) -> tuple[Probabilities, dict[str, Probabilities]]:
    """Return what `map_window` does, and further outputs of the network by name, (node row, node column) each.

    `extras` are some of the card's `serving.extras`.
    """
    geometry = card.geometry
    rows, columns = _tiles(block, card)
    side = geometry.tile // geometry.step
    out = np.zeros((len(card.classes) + len(extras), rows * side, columns * side), np.uint8)

    def ask(cut: tuple[slice, slice]) -> tuple[Probabilities, dict[str, Probabilities]]:
        before_tile()
        building = None if morphology is None else morphology[:, cut[0], cut[1]]
        return models.predict_with_extras(card, spectral[:, cut[0], cut[1]], building, extras)

    cuts = list(_cuts(rows, columns, card))
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for index, (answer, more) in enumerate(pool.map(carried(ask), cuts)):
            top, left = index // columns * side, index % columns * side
            place = (slice(top, top + side), slice(left, left + side))
            out[(slice(len(card.classes)), *place)] = answer
            for layer, name in enumerate(extras, start=len(card.classes)):
                out[(layer, *place)] = more[name]
    out = out[:, : math.ceil(block.height / geometry.step), : math.ceil(block.width / geometry.step)]
    named = {name: out[layer] for layer, name in enumerate(extras, start=len(card.classes))}
    return out[: len(card.classes)], named


def _tiles(block: Block, card: Card) -> tuple[int, int]:
    return math.ceil(block.height / card.geometry.tile), math.ceil(block.width / card.geometry.tile)


def _cuts(rows: int, columns: int, card: Card) -> Iterator[tuple[slice, slice]]:
    tile, size = card.geometry.tile, card.geometry.tile + 2 * card.geometry.halo
    for row in range(rows):
        for column in range(columns):
            yield slice(row * tile, row * tile + size), slice(column * tile, column * tile + size)
