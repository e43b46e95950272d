"""Maps one block: imagery and morphology in, probabilities and the parcels' partial sums out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.area import Grid
from jobs.blocks import draft_key, marker_key
from jobs.errors import NoImagery
from jobs.plan import Block, Plan
from models.cards import Card, card_of
from models.channels import CHANNELS
from models.morphology import morphology
from worker.context import Context
from worker.imagery import ImageryPlan, open_imagery
from worker.inference import PaddedWindow, map_window_with_extras, padded_window
from worker.parcels.vectors.partition import read_part
from worker.pipeline import drafts, pictures, probabilities, reasons
from worker.pipeline.sums import write_sums
from worker.pipeline.vectors import buildings_folder
from worker.pipeline.waiting import while_wanted

Image = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

# Buildings are taken to be known this far around the layer's own bounds.
COVERAGE_METRES = 100.0


@dataclass(frozen=True, slots=True)
class _Mapped:
    """A block's probabilities (class, node row, node column) and, where the job keeps them, reasons and picture."""

    values: probabilities.Probabilities
    reasons: probabilities.Probabilities | None
    picture: pictures.Picture | None


def map_block(context: Context, plan: Plan, block: Block, *, still_wanted: Callable[[], None]) -> None:
    """Write the block's probabilities, sums, draft picture and, last, the marker that it is done; once is enough."""
    marker = marker_key(plan.job, block.id)
    if context.storage.size(marker) is not None:
        return
    card = serving_card(plan)
    told = _taken(context, plan, card, block) if plan.source else _inferred(context, plan, card, block, still_wanted)
    probabilities.write(context.storage, plan, card, block, told.values)
    if told.reasons is not None:
        reasons.write(context.storage, plan, card, block, told.reasons)
    if told.picture is not None:
        pictures.write(context.storage, plan, card, block, told.picture)
    if plan.parcels and not card.units.filter_scale:
        write_sums(context, plan, card, block, told.values)
    valid = int(np.count_nonzero(told.values.max(axis=0)))
    if valid:
        context.storage.put(draft_key(plan.job, block.id), drafts.draw(told.values, card))
    done = {"block": block.id, "valid_nodes": valid, "nodes": told.values[0].size}
    context.storage.put(marker, json.dumps(done).encode())


def leave_unread(context: Context, plan: Plan, block: Block, why: str) -> None:
    """Mark a block as done whose imagery could not be read: it stays empty, and the map says so."""
    _note_unread(context, plan, block, why)
    context.storage.put(marker_key(plan.job, block.id), json.dumps({"block": block.id, "valid_nodes": 0}).encode())


def serving_card(plan: Plan) -> Card:
    """Return the card a job maps with: where its map is of scene cells, that of the network's graph for those."""
    card = card_of(plan.model)
    return card.for_scenes() if plan.scene_graph else card


def unread_folder(job: str) -> str:
    """Return the key below which it stands why blocks could not be read."""
    return f"jobs/{job}/unread"


def _unread_key(job: str, block: str) -> str:
    return f"{unread_folder(job)}/{block}.json"


def _note_unread(context: Context, plan: Plan, block: Block, why: str) -> None:
    context.storage.put(_unread_key(plan.job, block.id), json.dumps({"block": block.id, "why": why}).encode())


def _taken(context: Context, plan: Plan, card: Card, block: Block) -> _Mapped:
    """Return what a finished job knows of the block."""
    assert plan.source is not None  # noqa: S101 - map_block looked
    storage, source = context.storage, plan.source
    if storage.size(marker_key(source, block.id)) is None:
        msg = f"the job {source} whose probabilities were asked for was deleted; map the area again"
        raise NoImagery(msg)
    unread = storage.get_json(_unread_key(source, block.id))
    if unread is not None:
        _note_unread(context, plan, block, str(unread["why"]))
    values = probabilities.read(storage, plan, card, block, key=probabilities.path(source))
    told = (part.read(storage, plan, card, block, job=source) for part in (reasons, pictures))
    return _Mapped(values, *told)


def _inferred(context: Context, plan: Plan, card: Card, block: Block, still_wanted: Callable[[], None]) -> _Mapped:
    """Return what the network says of the block; the buildings are burnt while imagery is read."""
    window = padded_window(block, card)
    imagery = open_imagery(
        ImageryPlan.model_validate(plan.imagery), card, context.uploads, context.settings, context.scratch
    )
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(_morphology, context, plan, block, window) if card.input.morphology else None
        image = while_wanted(lambda: imagery.read(window.row, window.column, window.height, window.width), still_wanted)
        channels = building.result() if building else None
    values, extras = map_window_with_extras(
        context.models, card, block, image.reflectance, channels,
        extras=reasons.extras_of(plan, card), before_tile=still_wanted,
    )  # fmt: skip
    values = np.where(_valid_nodes(image.valid, block, card), values, 0).astype(np.uint8)
    rasters = (image.reflectance, channels)
    told = reasons.gather(card, block, rasters, extras) if plan.keeps_reasons else None
    return _Mapped(values, told, pictures.gather(plan, card, block, image) if plan.keeps_pictures else None)


def _morphology(context: Context, plan: Plan, block: Block, window: PaddedWindow) -> Image:
    """Return the morphology channels of a window, (channel, y, x); all zero, so not valid, without buildings."""
    if plan.building_bounds is None:
        return np.zeros((len(CHANNELS), window.height, window.width), np.float32)
    frame = read_part(context.storage, buildings_folder(plan.job), block.id)
    grid = plan.pixel_grid.window(window.row, window.column, window.height, window.width)
    covered = _covered(grid, np.array(plan.building_bounds))
    channels: Image = morphology(
        frame.geometry.to_numpy(), frame["height"].to_numpy(), grid.transform, grid.shape, covered
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
