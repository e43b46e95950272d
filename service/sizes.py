"""How large a job will be, told from its request before anything is planned."""

from __future__ import annotations

from typing import Final

from jobs.area import Area, utm_grid
from jobs.plan import Plan, count_blocks
from jobs.request import Execute
from models.cards import Card
from service.state import State

# Files beyond this take longer to read than a block to map.
SMALL_BYTES: Final = 32 * 1024**2


def is_small(execute: Execute, area: Area | None, source: Plan | None, card: Card, state: State) -> bool:
    """Say whether a job that was checked is one block of quick work, which need not wait behind whole cities.

    `area` is its area of interest and `source` the plan of the finished job it names, where it has them.
    """
    sent = [state.uploads.read(upload) for upload in execute.inputs.uploads.values()]
    if sum(record.size for record in sent) > SMALL_BYTES:
        return False
    if source is not None:
        return len(source.blocks) == 1
    side = state.settings.block_pixels
    if area is not None:
        return count_blocks(utm_grid(area, card.input.resolution), side) == 1
    images = [record.facts for record in sent if record.kind == "image"]
    return all(max(facts["width"], facts["height"]) <= side for facts in images)
