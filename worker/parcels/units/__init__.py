"""Which unit decides a class: the parcel, its block, the scene cell or the single pixel; the one door to that room.

`judging` holds the rule per parcel, `grouping` the blocks small parcels form, `deciding` the map that follows.
"""

from __future__ import annotations

from worker.parcels.units.deciding import decide_block, parcels_near
from worker.parcels.units.grouping import group_small
from worker.parcels.units.judging import judge_parcels
from worker.parcels.units.verdicts import (
    ABSTAIN,
    BLOCK,
    PARCEL,
    PIXEL,
    SCENE,
    UNIT_NAMES,
    Decided,
    Mode,
    Verdicts,
    without_cells,
)

__all__ = [
    "ABSTAIN", "BLOCK", "PARCEL", "PIXEL", "SCENE", "UNIT_NAMES", "Decided", "Mode", "Verdicts", "decide_block",
    "group_small", "judge_parcels", "parcels_near", "without_cells",
]  # fmt: skip
