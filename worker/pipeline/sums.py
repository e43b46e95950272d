"""The parcels' sums of probabilities: written block by block, added up for the whole job."""

from __future__ import annotations

import io
import math

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.area import Grid
from jobs.plan import Block, Plan
from models.cards import Card
from worker.context import Context
from worker.parcels.vectors.partition import read_part
from worker.parcels.zonal import Sums, coverage_sums, merge_sums, sums_table
from worker.pipeline import probabilities
from worker.pipeline.ahead import AT_ONCE, ahead
from worker.pipeline.vectors import parcels_folder


def write_sums(context: Context, plan: Plan, card: Card, block: Block, values: probabilities.Probabilities) -> None:
    """Keep one block's partial sums."""
    sink = io.BytesIO()
    pq.write_table(block_sums(context, plan, card, block, values), sink, compression="zstd")
    context.storage.put(sums_key(plan.job, block.id), sink.getvalue())


def block_sums(context: Context, plan: Plan, card: Card, block: Block, values: probabilities.Probabilities) -> pa.Table:
    """Return the sums over one block of its probabilities (class, node row, node column), all 0 without imagery."""
    parcels = read_part(context.storage, parcels_folder(plan.job), block.id)
    grid, step = plan.pixel_grid, card.geometry.step
    core = grid.window(block.row, block.column, 1, 1)
    shape = math.ceil(block.height / step), math.ceil(block.width / step)
    lattice = Grid(grid.crs, core.left, core.top, grid.resolution * step, shape[1], shape[0])
    origin, seen = (grid.left, grid.top), values.max(axis=0) > 0
    table = sums_table(coverage_sums(parcels.geometry.to_numpy(), values, seen, lattice, origin=origin))
    rows = parcels["row"].to_numpy()[table.column("row").to_numpy()]
    return table.set_column(0, "row", pa.array(rows))


def whole_sums(context: Context, plan: Plan, card: Card, parcels: int) -> Sums:
    """Add up the sums of all blocks; where the probabilities are filtered first, they are made here.

    The filter sees the blocks around, and only now all of them are there.
    """

    def table(block: Block) -> pa.Table:
        data = context.storage.get(sums_key(plan.job, block.id))
        if data is not None:
            return pq.read_table(io.BytesIO(data))
        values = probabilities.read_filtered(context.storage, plan, card, block)
        return block_sums(context, plan, card, block, values)

    return merge_sums(ahead(table, plan.blocks, AT_ONCE), parcels)


def sums_key(job: str, block: str) -> str:
    """Return the key of a block's partial sums."""
    return f"jobs/{job}/sums/{block}.parquet"
