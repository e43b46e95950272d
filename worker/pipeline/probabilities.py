"""The job's probabilities: one Zarr array over the node lattice, a chunk a block, each written by its own task only."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.errors import ContainsArrayError
from zarr.storage import ObjectStore

from jobs.plan import Block, Plan
from jobs.storage import Storage
from models.cards import Card
from worker.parcels.units.filtering import reach, smooth

Probabilities = np.ndarray[Any, np.dtype[np.uint8]]


def create(storage: Storage, plan: Plan, card: Card) -> None:
    """Write the array's description; a second call changes nothing.

    The array is (class, node row, node column) uint8, 255 p; all zero where there was no imagery.
    """
    layer = [c.label for c in card.classes]
    create_array(storage, plan, card, path(plan.job), dimension="class", names=layer, attributes={"scale": 1 / 255})


def create_array(
    storage: Storage, plan: Plan, card: Card, key: str, *, dimension: str, names: list[str], attributes: dict[str, Any]
) -> None:
    """Describe an array (layer, node row, node column) uint8 below `key`, a chunk a block; 0 where nothing is written.

    `dimension` is what the first axis is called and `names` what stands along it.
    """
    grid, step = plan.pixel_grid, card.geometry.step
    side = plan.block_pixels // step
    described: dict[str, Any] = {
        "shape": (len(names), math.ceil(grid.height / step), math.ceil(grid.width / step)),
        "chunks": (len(names), side, side),
        "dtype": "uint8",
        "compressors": ZstdCodec(level=3),
        "fill_value": 0,
        "dimension_names": (dimension, "y", "x"),
        "attributes": {"classes" if dimension == "class" else "layers": names, "crs": grid.crs, "step": step,
                       **attributes, "transform": list(grid.transform)[:6]},
    }  # fmt: skip
    with contextlib.suppress(ContainsArrayError):
        storage.ask(lambda: zarr.create_array(_store(storage, key), **described))


def write(
    storage: Storage, plan: Plan, card: Card, block: Block, values: Probabilities, *, key: str | None = None
) -> None:
    """Write one block's chunk, (layer, node row, node column), of the probabilities or of the array below `key`."""
    rows, columns = _nodes(block, card)
    storage.ask(lambda: _open(storage, key or path(plan.job)).set_basic_selection(np.s_[:, rows, columns], values))


def read(storage: Storage, plan: Plan, card: Card, block: Block, *, key: str | None = None) -> Probabilities:
    """Read one block's chunk back."""
    rows, columns = _nodes(block, card)
    return _window(storage, key or path(plan.job), rows, columns)


def read_filtered(storage: Storage, plan: Plan, card: Card, block: Block) -> Probabilities:
    """Read one block's chunk back as the units see it: filtered, where the card filters, with what lies around it.

    All blocks around must have been written.
    """
    scale = card.units.filter_scale
    if not scale:
        return read(storage, plan, card, block)
    rows, columns = _nodes(block, card)
    lattice = plan.pixel_grid.resolution * card.geometry.step
    halo = reach(lattice, scale)
    top, left = max(0, rows.start - halo), max(0, columns.start - halo)
    around = slice(top, rows.stop + halo), slice(left, columns.stop + halo)
    wide = _window(storage, path(plan.job), *around)
    smoothed = smooth(wide, resolution=lattice, classes=card.classes, scale=scale)
    return smoothed[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def at_pixels(values: Probabilities, block: Block, card: Card) -> Probabilities:
    """Return node values at every pixel of the block, (layer, y, x); a node of 100 m covers its hundred pixels."""
    step = card.geometry.step
    if step == 1:
        return values
    return values.repeat(step, axis=1).repeat(step, axis=2)[:, : block.height, : block.width]


def at_scenes(values: Probabilities, block: Block, card: Card) -> Probabilities:
    """Return the values of the scene cells, (class, cell row, cell column): those of the node at each cell's centre."""
    stride = card.geometry.scene // card.geometry.step
    if stride == 1:
        return values
    rows, columns = (
        np.minimum(np.arange(stride // 2, n + stride // 2, stride), n - 1) for n in (block.height, block.width)
    )
    return values[:, rows][:, :, columns]


def by_pixel(card: Card) -> Card:
    """Return a card whose nodes and scene cells are pixels: for arrays over the pixels of a grid."""
    return card.model_copy(update={"geometry": card.geometry.model_copy(update={"step": 1, "scene": 1})})


def path(job: str) -> str:
    """Return the key below which a job's array lies."""
    return f"jobs/{job}/probabilities.zarr"


def _nodes(block: Block, card: Card) -> tuple[slice, slice]:
    step = card.geometry.step
    rows = slice(block.row // step, math.ceil((block.row + block.height) / step))
    return rows, slice(block.column // step, math.ceil((block.column + block.width) / step))


def _store(storage: Storage, key: str) -> ObjectStore[Any]:
    """Return the array's own root: below a common one Zarr would describe every folder on the way."""
    return ObjectStore(storage.below(key))


def _window(storage: Storage, key: str, rows: slice, columns: slice) -> Probabilities:
    """Return a part of the array below `key`, (layer, node row, node column)."""
    return np.asarray(storage.ask(lambda: _open(storage, key)[:, rows, columns]), np.uint8)


def _open(storage: Storage, key: str) -> Any:
    return zarr.open_array(_store(storage, key), mode="r+")
