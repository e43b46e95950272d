"""Masks in the COCO format: uncompressed run lengths, which every COCO reader takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.classes import LAND_COVER
from worker.annotation.labelled import Labelled, image_name, labels_of_tile


def write_coco(labelled: Labelled, folder: Path, still_wanted: Callable[[], None]) -> Path:
    """Write images, categories and one annotation a labelled mask; image ids are those of tiles, from 1."""
    path = folder / "coco.json"
    head = {"info": _info(labelled), "images": _images(labelled), "categories": _categories(), "annotations": []}
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head)[: -len("]}")])  # masks come one by one: there may be a hundred thousand
        for number, annotation in enumerate(_annotations(labelled, still_wanted)):
            file.write(("," if number else "") + json.dumps(annotation, separators=(",", ":")))
        file.write("]}")
    return path


def run_lengths(inside: NDArray[np.bool_], place: tuple[int, int], size: tuple[int, int]) -> list[int]:
    """Return the COCO run lengths of a mask: counts of pixels outside and inside, by turns, column by column.

    `inside` (y, x) is the mask in its box, whose first row and column are `place` in an image of `size` (rows,
    columns). The first count is of pixels outside.
    """
    columns, rows = np.nonzero(inside.T)
    index = (columns + place[1]) * size[0] + rows + place[0]
    breaks = np.flatnonzero(np.diff(index) > 1)
    starts, stops = index[np.r_[0, breaks + 1]], index[np.r_[breaks, len(index) - 1]] + 1
    ends = np.r_[0, np.stack([starts, stops], axis=1).ravel(), size[0] * size[1]]
    counts: list[int] = np.diff(ends).tolist()
    return counts if counts[-1] else counts[:-1]


def _info(labelled: Labelled) -> dict[str, Any]:
    project = labelled.project
    return {
        "description": project.title,
        "version": str(len(labelled.entries)),
        "date_created": project.created.isoformat(),
    }


def _images(labelled: Labelled) -> list[dict[str, Any]]:
    return [
        {"id": number + 1, "file_name": image_name(number, tile), "width": tile.width, "height": tile.height}
        for number, tile in enumerate(labelled.project.tiles)
    ]


def _categories() -> list[dict[str, Any]]:
    return [{"id": told.code, "name": told.label, "supercategory": "land cover"} for told in LAND_COVER]


def _annotations(labelled: Labelled, still_wanted: Callable[[], None]) -> Iterator[dict[str, Any]]:
    for tile, record in enumerate(labelled.project.tiles):
        still_wanted()
        numbers = np.flatnonzero((labelled.table.tile == tile) & (labelled.codes > 0))
        if not len(numbers):
            continue
        labels = labels_of_tile(labelled, tile)
        for number in numbers:
            yield _annotation(labelled, int(number), labels, (record.height, record.width))


def _annotation(labelled: Labelled, number: int, labels: NDArray[np.int32], size: tuple[int, int]) -> dict[str, Any]:
    top, left, bottom, right = (int(end) for end in labelled.table.box[number])
    inside = labels[top:bottom, left:right] == labelled.table.label[number]
    return {
        "id": number + 1,
        "image_id": int(labelled.table.tile[number]) + 1,
        "category_id": int(labelled.codes[number]),
        "bbox": [left, top, right - left, bottom - top],
        "area": int(labelled.table.area[number]),
        "iscrowd": 0,
        "score": int(labelled.confidence[number]) / 100,
        "segmentation": {"size": list(size), "counts": run_lengths(inside, (top, left), size)},
    }
