"""How large a job will be, told from its request before anything is planned."""

from __future__ import annotations

from typing import Final

from shapely.geometry import box

from jobs.area import WGS84, utm_grid
from jobs.plan import block_side, count_blocks
from service.annotation.checking import CheckedAnnotation
from service.asking import Asked
from service.state import State

# Files beyond this take longer to read than a block to map.
SMALL_BYTES: Final = 32 * 1024**2


def is_small(checked: Asked, state: State) -> bool:
    """Say whether a job is one block of quick work, which need not wait behind whole cities."""
    if sum(record.size for record in checked.uploads) > SMALL_BYTES:
        return False
    if isinstance(checked, CheckedAnnotation):
        return len(checked.uploads) <= 1
    if checked.source is not None:
        return len(checked.source.blocks) == 1
    side = block_side(checked.card, state.settings.block_pixels)
    if checked.area is not None:
        return count_blocks(utm_grid(checked.area, checked.card.input.resolution), side) == 1
    images = [record.facts for record in checked.uploads if record.kind == "image"]
    return all(max(facts["width"], facts["height"]) <= side for facts in images)


def asked_km2(checked: Asked) -> float:
    """Return the square kilometres a job will map, as quotas count them.

    That is its area of interest; else what its images' bounds enclose; and nothing where a finished job's
    probabilities are used again, or pictures are annotated.
    """
    if isinstance(checked, CheckedAnnotation) or checked.source is not None:
        return 0.0
    if checked.area is not None:
        return checked.area.km2
    bounds = [record.facts["lonlat_bounds"] for record in checked.uploads if record.kind == "image"]
    return sum(abs(WGS84.geometry_area_perimeter(box(*b))[0]) for b in bounds) / 1e6
