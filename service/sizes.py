"""How large a job will be, told from its request before anything is planned."""

from __future__ import annotations

from typing import Final

from jobs.area import utm_grid
from jobs.plan import count_blocks
from service.checking import Checked
from service.state import State

# Files beyond this take longer to read than a block to map.
SMALL_BYTES: Final = 32 * 1024**2


def is_small(checked: Checked, state: State) -> bool:
    """Say whether a job is one block of quick work, which need not wait behind whole cities."""
    if sum(record.size for record in checked.uploads) > SMALL_BYTES:
        return False
    if checked.source is not None:
        return len(checked.source.blocks) == 1
    side = state.settings.block_pixels
    if checked.area is not None:
        return count_blocks(utm_grid(checked.area, checked.card.input.resolution), side) == 1
    images = [record.facts for record in checked.uploads if record.kind == "image"]
    return all(max(facts["width"], facts["height"]) <= side for facts in images)
