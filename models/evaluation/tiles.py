"""Runs a land cover network over whole images, in overlapping windows, and measures what it maps against masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.accuracy.metrics import overall_accuracy
from models.cards import Card, Geometry
from models.classes import LAND_COVER
from models.data.tiles.folder import Picture, TileFolder
from models.data.tiles.legend import BadTiles
from models.errors import BadCard
from models.evaluation.sessions import open_session

_FULL: Final = np.float32(255)  # of a picture's numbers, and of the bytes a served network answers with
_CODES: Final = len(LAND_COVER) + 1

Answer = Callable[[NDArray[np.float32]], NDArray[np.uint8]]
"""A network as served: an image (1, 3, S, S), 0-1, to probabilities (1, 9, tile, tile), 255 p."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a map of land cover is worth: `mean_iou` over the classes of the truth, `iou` by class label."""

    mean_iou: float
    overall_accuracy: float
    iou: dict[str, float]
    pixels: int


def open_network(card: Card, *, threads: int = 0) -> Answer:
    """Open a card's ONNX file and return what asks it; `threads` 0 is all cores.

    Raises BadCard for a model that does not map land cover from red, green and blue, WeightsUnavailable, MissingExtra.
    """
    if card.product != "land-cover" or len(card.input.bands) != 3 or card.geometry.step != 1:  # noqa: PLR2004 - RGB
        raise BadCard(f"{card.id} maps {card.product} of {len(card.input.bands)} bands; give a model of land cover")
    session = open_session(card, threads=threads)
    return lambda image: session.run(["probabilities"], {"spectral": image})[0]


def evaluate_tiles(
    answer: Answer, geometry: Geometry, folder: TileFolder, *, tell: Callable[[str], None] = print
) -> dict[str, Any]:
    """Map every image of a folder and return `Scores` of all its labelled pixels, and of each tile, as JSON holds them.

    Raises BadTiles where nothing is labelled, or a file does not read.
    """
    matrices = {}
    for tile in folder.tiles:
        matrices[tile] = tile_confusion(answer, geometry, folder.pictures((tile,)))
        if matrices[tile].any():
            found = scores_of(matrices[tile])
            tell(f"{tile}: mean IoU {found.mean_iou:.3f}, overall accuracy {found.overall_accuracy:.3f}")
    total = np.sum(list(matrices.values()), axis=0)
    if not total.any():
        raise BadTiles(f"{folder.path} holds no labelled pixel; nothing can be measured")
    whole = scores_of(total)
    each = {name: scores_of(matrix).mean_iou for name, matrix in matrices.items() if matrix.any()}
    return {
        "mean_iou": whole.mean_iou,
        "overall_accuracy": whole.overall_accuracy,
        "iou": whole.iou,
        "pixels": whole.pixels,
        "tiles": each,
    }


def tile_confusion(answer: Answer, geometry: Geometry, pictures: Iterator[Picture]) -> NDArray[np.int64]:
    """Count (truth, mapped) codes 1-9 of the labelled pixels of pictures."""
    total = np.zeros((_CODES - 1, _CODES - 1), dtype=np.int64)
    for picture in pictures:
        mapped = image_probabilities(answer, geometry, picture.image).argmax(axis=0) + 1
        total += confusion(picture.codes, mapped)
    return total


def confusion(truth: NDArray[np.uint8], mapped: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Count (truth, mapped), (9, 9), where the truth (y, x) is not 0; both hold codes 1-9."""
    use = truth > 0
    pairs = (truth[use].astype(np.int64) - 1) * (_CODES - 1) + mapped[use] - 1
    return np.bincount(pairs, minlength=(_CODES - 1) ** 2).reshape(_CODES - 1, _CODES - 1)


def scores_of(matrix: NDArray[np.int64]) -> Scores:
    """Return the scores of a confusion matrix (truth, mapped): IoU is right / (truth + mapped - right) of a class."""
    right, truth = np.diag(matrix), matrix.sum(axis=1)
    there = truth > 0
    iou = right[there] / (truth + matrix.sum(axis=0) - right)[there]
    labels = [told.label for told, found in zip(LAND_COVER, there, strict=True) if found]
    named = {label: round(float(value), 4) for label, value in zip(labels, iou, strict=True)}
    return Scores(round(float(iou.mean()), 4), round(overall_accuracy(matrix), 4), named, int(matrix.sum()))


def image_probabilities(answer: Answer, geometry: Geometry, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities (9, y, x) of an image (3, y, x) uint8.

    Windows overlap by a quarter of a tile, and their answers are blended: each counts by how far a pixel lies from its
    edge. Beyond the image it is mirrored.
    """
    tile, halo = geometry.tile, geometry.halo
    shape = image.shape[1:]
    rows, columns = (_starts(side, tile) for side in shape)
    ends = [
        (halo, max(0, starts[-1] + tile - side) + halo) for starts, side in zip((rows, columns), shape, strict=True)
    ]
    padded = np.pad(image, ((0, 0), *ends), mode="symmetric")
    total = np.zeros((_CODES - 1, rows[-1] + tile, columns[-1] + tile), dtype=np.float32)
    weight = np.zeros(total.shape[1:], dtype=np.float32)
    ramp = _ramp(tile)
    side = tile + 2 * halo
    for row in rows:
        for column in columns:
            window = padded[:, row : row + side, column : column + side].astype(np.float32) / _FULL
            place = (slice(row, row + tile), slice(column, column + tile))
            total[:, *place] += answer(window[None])[0] * ramp
            weight[place] += ramp
    total /= weight * _FULL
    return total[:, : shape[0], : shape[1]]


def _starts(side: int, tile: int) -> list[int]:
    """Return where tiles begin so that they cover `side` pixels, each overlapping the one before by a quarter."""
    count = max(1, -(-(side - tile // 4) // (tile - tile // 4)))
    return [k * (tile - tile // 4) for k in range(count)]


def _ramp(tile: int) -> NDArray[np.float32]:
    """Return how much each pixel (y, x) of a tile's answer counts: up over the overlap, 1 inside."""
    near = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + np.float32(0.5)
    along = np.minimum(near / np.float32(max(tile // 4, 1)), 1)
    ramp: NDArray[np.float32] = np.outer(along, along).astype(np.float32)
    return ramp
