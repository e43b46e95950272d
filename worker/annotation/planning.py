"""Plans a project: which bands of its tiles are colours, how they are stretched, and what its client should know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jobs.annotation.plan import ProjectPlan, TilePlan, freeze_plan, read_plan
from jobs.annotation.request import PROJECT, ProjectExecute, parse_annotation
from jobs.inspection import DRIVERS, PICTURE_DRIVERS, safe_raster
from jobs.record import Warned
from models.promptable import DECODER, ENCODER
from worker.annotation.tiles import Opener, plan_tile, stretched
from worker.context import Context

_ALIKE: Final = 1.05  # pixels this much larger are still of one size


def make_plan(context: Context, job: str) -> ProjectPlan:
    """Return the project's plan, making and storing it if there is none yet; raises BadImage or UnknownUpload."""
    known = read_plan(context.storage, job, ProjectPlan)
    if known is not None:
        return known
    asked = parse_annotation(PROJECT, context.store.request(job).execute)
    assert isinstance(asked, ProjectExecute)  # noqa: S101 - what that process takes
    inputs = asked.inputs
    context.live.update(job, phase="looking at the tiles")
    planned = [plan_tile(context.uploads.read(upload)) for upload in inputs.tiles]
    tiles, told = stretched(planned, opener(context))
    plan = ProjectPlan(
        job=job,
        title=inputs.title,
        tiles=tiles,
        neighbourhood=inputs.neighbourhood,
        clusters=inputs.clusters,
        promptable=context.models.ready(ENCODER) and context.models.ready(DECODER),
        warnings=(*told, *_grey(tiles), *_unlike(tiles)),
    )
    return freeze_plan(context.storage, plan)


def opener(context: Context) -> Opener:
    """Return what opens an upload safely, from a copy on this machine."""
    return lambda upload: safe_raster(context.uploads.local(upload, context.scratch), (*DRIVERS, *PICTURE_DRIVERS))


def _grey(tiles: Sequence[TilePlan]) -> list[Warned]:
    names = [tile.name for tile in tiles if len(set(tile.bands)) == 1]
    return [Warned(code="image-grey", detail=f"{_some(names)} of one band only: shown in grey")] if names else []


def _unlike(tiles: Sequence[TilePlan]) -> list[Warned]:
    """Say that the pixels of tiles differ in size: masks of one kind then look different."""
    sides = [abs(tile.transform[0]) for tile in tiles if tile.transform]
    if not sides or max(sides) <= _ALIKE * min(sides):
        return []
    detail = f"pixels are {min(sides):.3g} to {max(sides):.3g} units wide: masks of one kind may fall into two clusters"
    return [Warned(code="tiles-differ", detail=detail)]


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} others"
