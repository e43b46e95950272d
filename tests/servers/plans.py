"""Jobs that are planned, and blocks of theirs that are done, as a worker would leave them."""

from __future__ import annotations

import numpy as np
from shapely.geometry import box

from jobs.area import Grid, area_of
from jobs.blocks import draft_key, marker_key
from jobs.plan import Block, Plan, cut_blocks, grid_record
from jobs.store import JobStore
from models.cards import card_of
from worker.pipeline.drafts import draw

GRID = Grid("EPSG:32633", 390_000, 5_820_000, 10.0, 600, 500)
SIDE = 240


def planned(store: JobStore, job: str, grid: Grid = GRID, side: int = SIDE) -> Plan:
    """Freeze the plan of a job that maps a whole grid."""
    area = area_of(grid)
    return store.freeze_plan(
        Plan(
            job=job, model="magnet", model_version="1", grid=grid_record(grid), block_pixels=side,
            blocks=cut_blocks(grid, side, box(*grid.bounds)), aoi=area.geojson, km2=area.km2, imagery={},
            building_bounds=None, parcels=None, units="auto", outputs=("map",), warnings=(),
        )
    )  # fmt: skip


def mapped(store: JobStore, plan: Plan, block: Block) -> bytes:
    """Finish a block, whose pixels are of random classes, and return its draft picture."""
    values = np.random.default_rng(block.row + block.column).integers(0, 16, (17, block.height, block.width))
    picture = draw(values.astype(np.uint8), card_of(plan.model))
    store.storage.put(draft_key(plan.job, block.id), picture)
    left_empty(store, plan, block)
    return picture


def left_empty(store: JobStore, plan: Plan, block: Block) -> None:
    """Finish a block that has nothing to show."""
    store.storage.put(marker_key(plan.job, block.id), b"{}")
