"""The plan of a job: its grid, its blocks and its frozen choices, written once before any block is mapped."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final, Literal

import shapely
from pydantic import BaseModel, ConfigDict
from shapely.geometry.base import BaseGeometry

from jobs.area import Grid
from jobs.record import Warned
from models.cards import Card

Bounds = tuple[float, float, float, float]
BLOCK_ID: Final = "^r[0-9]{4,6}c[0-9]{4,6}$"


class Block(BaseModel):
    """A window of the job's grid that one task maps: upper-left pixel and size, all multiples of the scene cell."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    row: int
    column: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the block in an array over the job's grid."""
        return slice(self.row, self.row + self.height), slice(self.column, self.column + self.width)


class Plan(BaseModel):
    """jobs/<job>/plan.json. `imagery` is worker.imagery's own frozen choice of scenes or files.

    `building_bounds` (left, bottom, right, top in the grid's CRS) is what the buildings span, None without any.
    `map_side` is how many pixels of the imagery a pixel of the map spans, and `scene_graph` whether the network's graph
    for scene cells maps it; `min_coverage` the share of the area that must have been mapped for the job to succeed;
    `source` the finished job whose probabilities are taken instead of asking the network; `keeps_reasons` whether
    blocks keep why each pixel has its class, `keeps_pictures` whether they keep what they were mapped from as colours.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    job: str
    model: str
    model_version: str
    grid: dict[str, Any]
    block_pixels: int
    blocks: tuple[Block, ...]
    aoi: dict[str, Any]
    km2: float
    imagery: dict[str, Any]
    building_bounds: Bounds | None
    parcels: int | None
    reference: int | None = None
    units: Literal["auto", "pixel", "scene", "parcel"]
    map_side: int = 1
    scene_graph: bool = False
    source: str | None = None
    keeps_reasons: bool = False
    keeps_pictures: bool = False
    min_coverage: float = 0.0
    outputs: tuple[str, ...]
    warnings: tuple[Warned, ...]

    @property
    def pixel_grid(self) -> Grid:
        """The grid of the imagery's pixels as an object."""
        return Grid(**self.grid)

    @property
    def map_grid(self) -> Grid:
        """The grid of the map: its pixels are `map_side` pixels of the imagery a side, from the same corner."""
        grid, side = self.pixel_grid, self.map_side
        if side == 1:
            return grid
        size = grid.resolution * side
        return Grid(grid.crs, grid.left, grid.top, size, math.ceil(grid.width / side), math.ceil(grid.height / side))


def grid_record(grid: Grid) -> dict[str, Any]:
    """Return a grid as plan.json holds it."""
    return asdict(grid)


def cut_blocks(grid: Grid, side: int, area: BaseGeometry) -> tuple[Block, ...]:
    """Cut a grid into blocks of `side` pixels, row by row; blocks that `area` (in the grid's CRS) misses are left out.

    Blocks at the right and lower edge are smaller. Their upper-left corners are multiples of `side`.
    """
    shapely.prepare(area)
    return tuple(b for b in _all_blocks(grid, side) if area.intersects(shapely.box(*_bounds(grid, b))))


def block_side(card: Card, wanted: int) -> int:
    """Return the side of a job's blocks in pixels: whole tiles of the network, as near to `wanted` as they come."""
    tile = card.geometry.tile
    return max(1, round(wanted / tile)) * tile


def is_block(name: str) -> bool:
    """Say whether a name can be a block's, before it becomes part of a key."""
    return re.fullmatch(BLOCK_ID, name) is not None


def maps_cells(resolution: float, card: Card) -> bool:
    """Whether a request for pixels of `resolution` metres is one for a map of the model's scene cells."""
    return card.has_cells and resolution == card.cell


def count_blocks(grid: Grid, side: int) -> int:
    """Return how many blocks a full grid has."""
    return math.ceil(grid.height / side) * math.ceil(grid.width / side)


def _all_blocks(grid: Grid, side: int) -> Iterator[Block]:
    for row in range(0, grid.height, side):
        for column in range(0, grid.width, side):
            height, width = min(side, grid.height - row), min(side, grid.width - column)
            name = f"r{row // side:04d}c{column // side:04d}"
            yield Block(id=name, row=row, column=column, height=height, width=width)


def _bounds(grid: Grid, block: Block) -> tuple[float, float, float, float]:
    return grid.window(block.row, block.column, block.height, block.width).bounds
