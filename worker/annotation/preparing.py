"""Cuts one tile of a project into masks and describes them; once is enough, twice gives the same bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.measure import regionprops_table

from jobs.annotation.plan import ProjectPlan
from jobs.annotation.project import ProjectFiles
from jobs.annotation.rasters import encode_raster
from jobs.blocks import marker_key
from worker.annotation.features import describe_masks
from worker.annotation.masks import Segmenter, find_masks
from worker.annotation.planning import opener
from worker.annotation.promptable import Promptable
from worker.annotation.tiles import read_tile
from worker.context import Context


@dataclass(frozen=True, slots=True)
class TilePart:
    """The masks of a tile, by label from 1: boxes (n, 4), areas (n,), middles (n, 2) and features (n, feature)."""

    box: NDArray[np.int32]
    area: NDArray[np.int32]
    middle: NDArray[np.float32]
    features: NDArray[np.float32]


def prepare_tile(context: Context, plan: ProjectPlan, block: str, still_wanted: Callable[[], None]) -> None:
    """Write a tile's image, labels and masks, and last the marker that it is done."""
    marker = marker_key(plan.job, block)
    if context.storage.size(marker) is not None:
        return
    number = plan.blocks.index(block)
    tile, files = plan.tiles[number], ProjectFiles(context.storage, plan.job)
    image, valid = read_tile(tile, opener(context))
    still_wanted()
    labels = find_masks(image, valid, _segmenter(context, plan)).labels
    still_wanted()
    part = _described(image, labels, valid)
    record = tile.record(len(part.area))
    context.storage.put(files.image_key(number), encode_raster(np.moveaxis(image, 0, -1), record))
    context.storage.put(files.labels_key(number), encode_raster(labels, record))
    context.storage.put(_part_key(plan, number), _packed(part))
    context.storage.put(marker, json.dumps({"block": block, "masks": len(part.area)}).encode())


def _segmenter(context: Context, plan: ProjectPlan) -> Segmenter | None:
    told = context.settings
    return Promptable(told.triton_url, told.triton_timeout).segments if plan.promptable else None


def read_part(context: Context, plan: ProjectPlan, number: int) -> TilePart:
    """Return what `prepare_tile` found in a tile."""
    data = context.storage.get(_part_key(plan, number))
    assert data is not None  # noqa: S101 - its marker was there
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        return TilePart(**found)


def _described(image: NDArray[np.uint8], labels: NDArray[np.int32], valid: NDArray[np.bool_]) -> TilePart:
    told = regionprops_table(  # type: ignore[no-untyped-call]
        labels, properties=("bbox", "area", "centroid")
    )
    return TilePart(
        box=np.stack([told[f"bbox-{side}"] for side in range(4)], axis=1).astype(np.int32),
        area=told["area"].astype(np.int32),
        middle=np.stack([told["centroid-0"], told["centroid-1"]], axis=1).astype(np.float32),
        features=describe_masks(image, labels, valid),
    )


def _packed(part: TilePart) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, box=part.box, area=part.area, middle=part.middle, features=part.features)
    return out.getvalue()


def _part_key(plan: ProjectPlan, number: int) -> str:
    return f"jobs/{plan.job}/annotation/tiles/{number:04d}/part.npz"
