"""The shape of masks, from their pixels alone: size, compactness, elongation, how well they fill boxes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled_for_threads
from worker.annotation.segments import Labels

SHAPES: Final = ("log_area", "compactness", "elongation", "extent", "rectangularity", "log_width")
_PIXEL: Final = 1 / 12  # variance of the place within a pixel


def shapes_of(labels: Labels, count: int) -> NDArray[np.float64]:
    """Return (count, 6), as in SHAPES, of the masks 1..count in labels (y, x).

    `compactness` is 4 pi area / perimeter^2 of pixel sides; `elongation` the longer over the shorter axis of the
    ellipse of the same second moments; `extent` the area over that of the upright box; `rectangularity` the area over
    that of the rectangle of the same second moments; `log_width` the logarithm of the shorter axis in pixels.
    """
    totals, boxes = np.zeros((count + 1, 7)), np.zeros((count + 1, 4), np.int64)
    boxes[:, :2] = np.iinfo(np.int64).max
    _measure(labels, totals, boxes)
    area, sides = totals[1:, 0], totals[1:, 6]
    some = np.maximum(area, 1)
    y, x = totals[1:, 1] / some, totals[1:, 2] / some
    yy, xx = (totals[1:, 3 + k] / some - mean**2 + _PIXEL for k, mean in enumerate((y, x)))
    yx = totals[1:, 5] / some - y * x
    middle, half = (yy + xx) / 2, np.hypot((yy - xx) / 2, yx)
    longer, shorter = np.sqrt(middle + half), np.sqrt(np.maximum(middle - half, _PIXEL / 2))
    box = np.maximum((boxes[1:, 2:] - boxes[1:, :2] + 1).prod(axis=1), 1)
    return np.stack(
        [
            np.log(some),
            4 * np.pi * area / np.maximum(sides, 1) ** 2,
            longer / shorter,
            np.where(area > 0, area / box, 0),
            area / (12 * longer * shorter),
            np.log(4 * shorter),
        ],
        axis=1,
    )


@compiled_for_threads
def _measure(labels: Labels, totals: NDArray[np.float64], boxes: NDArray[np.int64]) -> None:
    """Add up each mask's pixels, moments of their places and outer sides, and stretch its box (first, last)."""
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label == 0:
                continue
            row, box = totals[label], boxes[label]
            box[0], box[1] = min(box[0], y), min(box[1], x)
            box[2], box[3] = max(box[2], y), max(box[3], x)
            row[0] += 1
            row[1] += y
            row[2] += x
            row[3] += y * y
            row[4] += x * x
            row[5] += y * x
            row[6] += y == 0 or labels[y - 1, x] != label
            row[6] += x == 0 or labels[y, x - 1] != label
            row[6] += y + 1 == height or labels[y + 1, x] != label
            row[6] += x + 1 == width or labels[y, x + 1] != label
