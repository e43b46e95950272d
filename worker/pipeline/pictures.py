"""The imagery a map was made from, as a picture to hold beside it; made on request.

One Zarr array over the pixels of the job's grid, a chunk a block, which each writes while it is mapped: the imagery is
not read again, and may be gone by then. Each value follows from its pixel alone, so blocks meet without seams.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from shapely.geometry import shape

from jobs.area import project
from jobs.plan import Block, Plan
from jobs.scenes.bands import colours
from jobs.storage import Storage
from models.cards import Card
from models.classes import NODATA
from worker.imagery import BlockImage
from worker.imagery.colours import COLOURS, of_numbers, of_reflectance
from worker.pipeline import probabilities
from worker.pipeline.ahead import AT_ONCE, ahead
from worker.products.cog import BLOCK, Canvas, CogBand

OUTPUT: Final = "image"

Picture = NDArray[np.uint8]


def path(job: str) -> str:
    """Return the key below which the array lies."""
    return f"jobs/{job}/pictures.zarr"


def create(storage: Storage, plan: Plan, card: Card) -> None:
    """Write the array's description where the job keeps pictures; a second call changes nothing."""
    if plan.keeps_pictures:
        probabilities.create_array(
            storage, plan, probabilities.by_pixel(card), path(plan.job),
            dimension="colour", names=list(COLOURS), attributes={"nodata": NODATA},
        )  # fmt: skip


def gather(plan: Plan, card: Card, block: Block, image: BlockImage) -> Picture:
    """Return a block's picture (red green blue, y, x), NODATA outside the area of interest and without imagery.

    `image` covers the block and the card's halo around it, at least.
    """
    places = colours(card.input.bands)
    assert places is not None  # noqa: S101 - the request was refused otherwise
    halo = card.geometry.halo
    core = (slice(halo, halo + block.height), slice(halo, halo + block.width))
    values = np.stack([image.reflectance[place][core] for place in places])
    shown = of_numbers(values) if card.input.reflectance == "digital" else of_reflectance(values)
    window = plan.pixel_grid.window(block.row, block.column, block.height, block.width)
    outline = project(shape(plan.aoi), plan.pixel_grid.crs)
    inside = geometry_mask([outline], window.shape, window.transform, invert=True)
    return np.where(image.valid[core] & inside, shown, NODATA).astype(np.uint8)


def write(storage: Storage, plan: Plan, card: Card, block: Block, values: Picture) -> None:
    """Write one block's chunk."""
    probabilities.write(storage, plan, probabilities.by_pixel(card), block, values, key=path(plan.job))


def read(storage: Storage, plan: Plan, card: Card, block: Block, *, job: str | None = None) -> Picture | None:
    """Read one block's chunk back, of this job or of another with the same blocks; None where the job keeps none."""
    if not plan.keeps_pictures:
        return None
    return probabilities.read(storage, plan, probabilities.by_pixel(card), block, key=path(job or plan.job))


def publish(storage: Storage, plan: Plan, card: Card, target: Path, *, tags: Mapping[str, str]) -> None:
    """Write the picture of a whole job as a COG on the grid of the imagery; two blocks are in memory at a time."""
    tile = BLOCK if plan.block_pixels % 16 else plan.block_pixels
    plain = target.with_name(f".{OUTPUT}.plain.tif")
    with Canvas(plain, plan.pixel_grid, count=len(COLOURS), tile=tile) as canvas:
        parts = ahead(lambda block: read(storage, plan, card, block), plan.blocks, AT_ONCE)
        for block, values in zip(plan.blocks, parts, strict=True):
            if values is not None:
                canvas.write(*block.slices, values)
        canvas.publish(target, [CogBand(name) for name in COLOURS], overview="average", predictor="YES", tags=tags)
