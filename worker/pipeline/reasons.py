"""Why each node has its class: how far the buildings decided, and how each class fits the place; made on request.

One Zarr array beside the probabilities: layer 0 is 255 alpha_m, layers 1-17 the consistency of each class in percent.
Both come from the tiles the network sees, so they too do not depend on how a job is cut into blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from jobs.plan import Block, Plan
from jobs.storage import Storage
from models.cards import Card
from models.consistency import UNKNOWN, consistency
from worker.pipeline import probabilities

OUTPUT: Final = "uncertainty"
WEIGHT: Final = "morphology_weight"

Bytes = NDArray[np.uint8]


def wanted(outputs: tuple[str, ...], card: Card) -> bool:
    """Say whether a job keeps reasons: it was asked for them, and its network sees buildings."""
    return OUTPUT in outputs and card.input.morphology


def extras_of(plan: Plan, card: Card) -> tuple[str, ...]:
    """Return the further outputs to ask the network for."""
    return tuple(name for name in card.serving.extras if name == WEIGHT) if plan.keeps_reasons else ()


def path(job: str) -> str:
    """Return the key below which the array lies."""
    return f"jobs/{job}/reasons.zarr"


def create(storage: Storage, plan: Plan, card: Card) -> None:
    """Write the array's description where the job keeps reasons; a second call changes nothing."""
    if plan.keeps_reasons:
        names = [WEIGHT, *(f"consistency_{c.label}" for c in card.classes)]
        told = {"unknown": UNKNOWN, "scales": [1 / 255, *(0.01 for _ in card.classes)]}
        probabilities.create_array(storage, plan, card, path(plan.job), dimension="layer", names=names, attributes=told)


def gather(card: Card, block: Block, rasters: tuple[Any, Any], extras: Mapping[str, Bytes]) -> Bytes:
    """Return a block's reasons, (layer, node row, node column).

    `rasters` are reflectance (band, y, x) and morphology (6, y, x) over the block's padded window, `extras` the
    network's further outputs (node row, node column) by name.
    """
    geometry = card.geometry
    side, nodes = geometry.tile + 2 * geometry.halo, geometry.tile // geometry.step
    rows, columns = (math.ceil(n / geometry.tile) for n in (block.height, block.width))
    out = np.zeros((1 + len(card.classes), rows * nodes, columns * nodes), np.uint8)
    for row in range(rows):
        for column in range(columns):
            cut = (slice(None), *(slice(k * geometry.tile, k * geometry.tile + side) for k in (row, column)))
            place = (slice(1, None), *(slice(k * nodes, (k + 1) * nodes) for k in (row, column)))
            out[place] = consistency(rasters[0][cut], rasters[1][cut], geometry)
    out = out[:, : math.ceil(block.height / geometry.step), : math.ceil(block.width / geometry.step)]
    if WEIGHT in extras:
        out[0] = extras[WEIGHT]
    return out


def write(storage: Storage, plan: Plan, card: Card, block: Block, values: Bytes) -> None:
    """Write one block's chunk."""
    probabilities.write(storage, plan, card, block, values, key=path(plan.job))


def read(storage: Storage, plan: Plan, card: Card, block: Block, *, job: str | None = None) -> Bytes | None:
    """Read one block's chunk back, of this job or of another with the same blocks; None where the job keeps none."""
    if not plan.keeps_reasons:
        return None
    return probabilities.read(storage, plan, card, block, key=path(job or plan.job))
