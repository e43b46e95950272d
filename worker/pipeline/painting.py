"""Decides the map block by block and paints it onto canvases on disk; no array of the whole map is ever in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from jobs.area import Grid, project
from jobs.plan import Block, Plan
from jobs.products import DOUBTS, UNSURE
from models.cards import Card
from worker.context import Context
from worker.parcels.units import Decided, Verdicts, decide_block, parcels_near, without_cells
from worker.pipeline import probabilities, reasons
from worker.pipeline.ahead import AT_ONCE, ahead
from worker.pipeline.uncertainty import Evidence, uncertainty_of
from worker.products.cog import BLOCK, UNIT_COLOURS, Canvas, Colour, class_colours
from worker.products.facts import Tally
from worker.products.preview import Thumbnail

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Painted:
    """One block on the map's grid: what was decided, the doubts (band, y, x), and how many pixels were asked for."""

    block: Block
    decided: Decided
    doubts: Bytes | None
    asked: int


@dataclass(slots=True)
class Painting:
    """The map being made: a canvas for each raster on `grid`, and what is counted on the way.

    A context manager; the canvases are gone when it ends. `doubts` is there where the job was asked for it. `asked`
    counts the pixels of the area of interest, `outside_km2` is what of it lies beyond the grid.
    """

    grid: Grid
    classes: Canvas
    confidence: Canvas
    units: Canvas
    doubts: Canvas | None
    outside_km2: float = 0.0
    asked: int = 0
    tally: Tally = field(default_factory=Tally)
    thumbnail: Thumbnail = field(init=False)
    _open: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.thumbnail = Thumbnail(self.grid.shape)

    def __enter__(self) -> Self:
        for canvas in (self.classes, self.confidence, self.units, self.doubts):
            if canvas is not None:
                self._open.enter_context(canvas)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    @property
    def asked_km2(self) -> float:
        """The area of interest in the plane of the grid, as far as it was painted."""
        return self.asked * (self.grid.resolution**2 / 1e6) + self.outside_km2

    def add(self, done: Painted) -> None:
        """Paint one block."""
        decided = done.decided
        rows, columns = done.block.slices
        for canvas, values in (
            (self.classes, decided.map), (self.confidence, decided.confidence), (self.units, decided.units),
        ):  # fmt: skip
            canvas.write(rows, columns, values)
        if self.doubts is not None and done.doubts is not None:
            self.doubts.write(rows, columns, done.doubts)
        self.asked += done.asked
        self.tally.add(decided.map, decided.units, decided.confidence)
        self.thumbnail.add(rows, columns, decided.map)


def prepare(plan: Plan, card: Card, folder: Path) -> Painting:
    """Return the empty painting of a job; its canvases lie in `folder`."""
    grid = plan.map_grid
    # A block is painted as one tile, where GeoTIFF can have tiles of its size.
    tile = plan.block_pixels if plan.map_side == 1 and plan.block_pixels % 16 == 0 else BLOCK

    def canvas(name: str, colours: Mapping[int, Colour] | None = None) -> Canvas:
        return Canvas(folder / f".{name}.plain.tif", grid, tile=tile, colours=colours)

    doubts = None
    if reasons.OUTPUT in plan.outputs:
        doubts = Canvas(folder / ".uncertainty.plain.tif", grid, count=len(DOUBTS), nodata=UNSURE, tile=tile)
    classes, units = canvas("map", class_colours(card.classes)), canvas("units", UNIT_COLOURS)
    return Painting(grid, classes, canvas("confidence"), units, doubts)


def paint(
    painting: Painting,
    context: Context,
    plan: Plan,
    card: Card,
    judged: tuple[gpd.GeoDataFrame, Verdicts] | None,
    *,
    still_wanted: Callable[[], None],
) -> None:
    """Decide every block of a job and paint it; `judged` are its parcels, if it has any, and what they came to."""
    outline = project(shape(plan.aoi), plan.map_grid.crs)
    outside = outline.difference(box(*plan.map_grid.bounds)).area
    # Less than a pixel is what projecting there and back leaves.
    painting.outside_km2 = outside / 1e6 if outside >= plan.map_grid.resolution**2 else 0.0
    job = _Job(
        context, plan, card, outline, judged, None if judged is None else shapely.STRtree(judged[0].geometry.to_numpy())
    )
    for done in ahead(job.decide, plan.blocks, AT_ONCE):
        still_wanted()
        painting.add(done)


@dataclass(frozen=True, slots=True)
class _Job:
    context: Context
    plan: Plan
    card: Card
    outline: BaseGeometry
    judged: tuple[gpd.GeoDataFrame, Verdicts] | None
    tree: shapely.STRtree | None

    def decide(self, block: Block) -> Painted:
        """Return a block on the map's grid with what was decided there; nothing lies outside the area of interest."""
        storage, plan = self.context.storage, self.plan
        values = probabilities.read_filtered(storage, plan, self.card, block)
        told = reasons.read(storage, plan, self.card, block)
        evidence, block, card = _seen(Evidence(values, told), plan, block, self.card)
        window = plan.map_grid.window(block.row, block.column, block.height, block.width)
        parcels, verdicts = self.judged or (None, None)
        # A pixel of a map of scene cells is a cell: there is nothing smaller to decide.
        limits = card.units if plan.map_side == 1 else card.units.model_copy(update={"scene_top": 0.0})
        near = None if self.tree is None else parcels_near(self.tree, window, limits)
        decided = decide_block(
            window,
            probabilities.at_pixels(evidence.probabilities, block, card),
            probabilities.at_scenes(evidence.probabilities, block, card),
            mode=plan.units,
            classes=card.classes,
            scene=card.geometry.scene,
            parcels=parcels,
            verdicts=verdicts,
            thresholds=limits,
            near=near,
        )
        if not self.card.has_cells:
            decided = replace(decided, units=without_cells(decided.units))
        inside = geometry_mask([self.outline], window.shape, window.transform, invert=True)
        doubts = None
        if reasons.OUTPUT in plan.outputs:
            doubts = np.where(inside, uncertainty_of(decided, evidence, verdicts, block, card), UNSURE).astype(np.uint8)
        return Painted(block, _cut(decided, inside), doubts, int(np.count_nonzero(inside)))


def _cut(decided: Decided, inside: NDArray[np.bool_]) -> Decided:
    def cut(values: Bytes) -> Bytes:
        return np.where(inside, values, 0).astype(np.uint8)

    return Decided(cut(decided.map), cut(decided.confidence), cut(decided.units), decided.parcel)


def map_blocks(plan: Plan) -> tuple[Block, ...]:
    """Return the blocks of a job as windows of the map's grid."""
    return tuple(_on_map(block, plan.map_side) for block in plan.blocks)


def _on_map(block: Block, side: int) -> Block:
    if side == 1:
        return block
    size = {"height": -(-block.height // side), "width": -(-block.width // side)}
    return block.model_copy(update={"row": block.row // side, "column": block.column // side, **size})


def _seen(evidence: Evidence, plan: Plan, block: Block, card: Card) -> tuple[Evidence, Block, Card]:
    """Return evidence, block and card as the map's pixels have them, which may be scene cells."""
    if plan.map_side == 1:
        return evidence, block, card
    told = None if evidence.reasons is None else probabilities.at_scenes(evidence.reasons, block, card)
    picked = Evidence(probabilities.at_scenes(evidence.probabilities, block, card), told)
    return picked, _on_map(block, plan.map_side), probabilities.by_pixel(card)
