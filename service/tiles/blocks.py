"""The blocks of a job for pages that look on while it runs: where each lies, whether it is done, what it looks like."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from shapely.geometry import MultiPoint

from jobs.area import Grid, project
from jobs.blocks import done_blocks, draft_key, drawn_blocks
from jobs.plan import Block, Plan, is_block
from jobs.public.bodies import JSON, Body, Link
from jobs.public.problems import RequestError
from service.finished import check_kept
from service.state import State
from service.tiles.viewer import Viewer

_TURN: Final = 360.0
_DIGITS: Final = 7  # of degrees: centimetres

Corner = tuple[float, float]


class BlockGrid(Body):
    """The grid of pixels that a job's blocks are cut from."""

    width: int
    height: int
    corners: tuple[Corner, Corner, Corner, Corner] = Field(
        description="longitude and latitude of the upper left, upper right, lower right and lower left corner; "
        "longitudes go on beyond 180 degrees where the grid crosses the antimeridian"
    )


class BlockFacts(Block):
    """A block: its upper left pixel and its size in pixels of the grid, whether it is done, and its draft picture."""

    done: bool
    href: str | None = Field(None, description="its draft picture, by a signed link; left out where there is none")


class BlockList(Body):
    """A job's blocks, row by row; none, and no grid, before the job is planned and where it makes no map."""

    grid: BlockGrid | None = None
    blocks: list[BlockFacts]
    links: list[Link]


def blocks_of(viewer: Viewer, parts: State) -> BlockList:
    """Return the blocks of a job, from its plan and a listing of what is done; raises as check_kept does."""
    check_kept(viewer.job, parts)
    plan, here = parts.jobs.plan(viewer.job), f"{parts.settings.public_url}/jobs/{viewer.job}/blocks"
    itself = Link(href=f"{here}?{viewer.query}", rel="self", type=JSON, title="This list, for those without a key")
    if plan is None:
        return BlockList(blocks=[], links=[itself])
    return BlockList(grid=_grid(plan.pixel_grid), blocks=_facts(plan, here, viewer.query, parts), links=[itself])


def draft_of(job: str, block: str, parts: State) -> bytes:
    """Return the draft picture of a block, a PNG; raises as check_kept does, or RequestError (not-found)."""
    check_kept(job, parts)
    picture = parts.storage.get(draft_key(job, block)) if is_block(block) else None
    if picture is None:
        raise RequestError(
            "not-found", f"{job} has no picture of a block {block[:60]!r}; ask for the list of its blocks"
        )
    return picture


def _facts(plan: Plan, here: str, query: str, parts: State) -> list[BlockFacts]:
    done = done_blocks(parts.storage, plan.job)
    drawn = drawn_blocks(parts.storage, plan.job)  # listed last: what is done has its picture by now
    return [
        BlockFacts(
            **block.model_dump(),
            done=block.id in done,
            href=f"{here}/{block.id}.png?{query}" if block.id in drawn else None,
        )
        for block in plan.blocks
    ]


def _grid(grid: Grid) -> BlockGrid:
    left, bottom, right, top = grid.bounds
    corners = MultiPoint([(left, top), (right, top), (right, bottom), (left, bottom)])
    places = [(point.x, point.y) for point in project(corners, "EPSG:4326", source=grid.crs).geoms]
    return BlockGrid.model_validate({
        "width": grid.width, "height": grid.height, "corners": [_beside(places[0], place) for place in places]
    })  # fmt: skip


def _beside(first: Corner, place: Corner) -> Corner:
    """Return a place with the longitude that lies less than half a turn from that of another."""
    turns = round((first[0] - place[0]) / _TURN)
    return round(place[0] + turns * _TURN, _DIGITS), round(place[1], _DIGITS)
