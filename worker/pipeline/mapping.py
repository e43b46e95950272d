"""Maps one block: imagery and morphology in, probabilities and the parcels' partial sums out."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import shapely

from jobs.area import Grid
from jobs.plan import Block, Plan
from models.cards import Card, card_of
from models.morphology import CHANNELS, HALO_METRES, morphology
from worker.context import Context
from worker.imagery import ImageryPlan, open_imagery
from worker.inference import PaddedWindow, map_window_with_extras, padded_window
from worker.parcels.zonal import coverage_sums, sums_table
from worker.pipeline import probabilities, reasons

Image = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

# Buildings are taken to be known this far around the layer's own bounds.
COVERAGE_METRES = 100.0


@dataclass(frozen=True, slots=True)
class _Job:
    context: Context
    plan: Plan
    card: Card


def map_block(context: Context, plan: Plan, block: Block, *, still_wanted: Callable[[], None]) -> None:
    """Write the block's probabilities, its parcels' sums and, last, the marker that it is done; once is enough."""
    marker = marker_key(plan.job, block.id)
    if context.storage.size(marker) is not None:
        return
    job = _Job(context, plan, card_of(plan.model))
    window = padded_window(block, job.card)
    image = open_imagery(
        ImageryPlan.model_validate(plan.imagery), job.card, context.uploads, context.settings, context.scratch
    ).read(window.row, window.column, window.height, window.width)
    building = _morphology(job, window) if job.card.input.morphology else None
    values, extras = map_window_with_extras(
        context.models, job.card, block, image.reflectance, building,
        extras=reasons.extras_of(plan, job.card), before_tile=still_wanted,
    )  # fmt: skip
    valid = _valid_nodes(image.valid, block, job.card)
    values = np.where(valid, values, 0).astype(np.uint8)
    probabilities.write(context.storage, plan, job.card, block, values)
    if reasons.wanted(plan, job.card):
        told = reasons.gather(job.card, block, (image.reflectance, building), extras)
        reasons.write(context.storage, plan, job.card, block, told)
    if plan.parcels:
        _write_sums(job, block, values, valid)
    done = {"block": block.id, "valid_nodes": int(valid.sum()), "nodes": int(valid.size)}
    context.storage.put(marker, json.dumps(done).encode())


def marker_key(job: str, block: str) -> str:
    """Return the key whose existence says that a block is mapped."""
    return f"jobs/{job}/blocks/{block}.json"


def sums_key(job: str, block: str) -> str:
    """Return the key of a block's partial sums."""
    return f"jobs/{job}/sums/{block}.parquet"


def read_frame(context: Context, key: str) -> gpd.GeoDataFrame:
    """Read a table that planning wrote."""
    data = context.storage.get(key)
    if data is None:
        msg = f"{key} is missing although the plan names it"
        raise RuntimeError(msg)
    return gpd.read_parquet(io.BytesIO(data))


def _morphology(job: _Job, window: PaddedWindow) -> Image:
    """Return the morphology channels of a window, (channel, y, x); all zero, so not valid, without buildings."""
    if not job.plan.has_buildings:
        return np.zeros((len(CHANNELS), window.height, window.width), np.float32)
    frame = read_frame(job.context, f"jobs/{job.plan.job}/buildings.parquet")
    grid = job.plan.pixel_grid.window(window.row, window.column, window.height, window.width)
    around = shapely.box(*grid.bounds).buffer(HALO_METRES, join_style="mitre")
    near = frame.iloc[np.sort(frame.sindex.query(around, predicate="intersects"))]
    covered = _covered(grid, frame.total_bounds)
    channels: Image = morphology(
        near.geometry.to_numpy(), near["height"].to_numpy(), grid.transform, grid.shape, covered
    )
    return channels


def _covered(grid: Grid, bounds: Any) -> Mask:
    """Return where the building layer is taken to be complete: pixel centres in its bounds and a margin, (y, x)."""
    left, bottom, right, top = bounds + np.array([-1, -1, 1, 1]) * COVERAGE_METRES
    xs = grid.left + (np.arange(grid.width) + 0.5) * grid.resolution
    ys = grid.top - (np.arange(grid.height) + 0.5) * grid.resolution
    inside: Mask = ((ys >= bottom) & (ys <= top))[:, None] & ((xs >= left) & (xs <= right))[None, :]
    return inside


def _valid_nodes(valid: Mask, block: Block, card: Card) -> Mask:
    """Return which nodes of a block have imagery: at least half of the pixels a node stands for, (node y, node x)."""
    halo, step = card.geometry.halo, card.geometry.step
    rows, columns = math.ceil(block.height / step), math.ceil(block.width / step)
    core = valid[halo : halo + rows * step, halo : halo + columns * step]
    share: Mask = core.reshape(rows, step, columns, step).mean(axis=(1, 3)) >= card.units.min_valid
    return share


def _write_sums(job: _Job, block: Block, values: Any, valid: Mask) -> None:
    parcels = read_frame(job.context, f"jobs/{job.plan.job}/parcels.parquet")
    grid, step = job.plan.pixel_grid, job.card.geometry.step
    core = grid.window(block.row, block.column, 1, 1)
    lattice = Grid(grid.crs, core.left, core.top, grid.resolution * step, valid.shape[1], valid.shape[0])
    sums = coverage_sums(parcels.geometry.to_numpy(), values, valid, lattice)
    sink = io.BytesIO()
    pq.write_table(sums_table(sums), sink, compression="zstd")
    job.context.storage.put(sums_key(job.plan.job, block.id), sink.getvalue())
