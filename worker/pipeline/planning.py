"""Plans a job: chooses imagery and grid, cleans parcels and buildings once, cuts blocks, and freezes it all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from shapely.geometry import shape

from jobs.area import Area, Grid, check_limits, parse_area, project
from jobs.errors import ImageryUnavailable
from jobs.plan import Plan, block_side, cut_blocks, grid_record, maps_cells
from jobs.record import RequestRecord, Warned
from jobs.request import Execute, Inputs, parse_execute
from jobs.sources import check_source, finished_plan
from models.cards import Card, card_of
from worker.context import Context
from worker.imagery import ImageryPlan, domain_warning, open_imagery, plan_imagery
from worker.parcels.vectors.partition import Lattice
from worker.pipeline import pictures, probabilities, reasons
from worker.pipeline.mapping import serving_card
from worker.pipeline.steps import still_wanted
from worker.pipeline.vectors import Site, store_vectors
from worker.pipeline.waiting import while_wanted

PROBE_PIXELS = 240
log = logging.getLogger(__name__)


def make_plan(context: Context, job: str) -> Plan:
    """Return the job's plan, making and storing it if there is none yet.

    Raises a CityzonesError, with the sentence the client reads, where the job cannot be done.
    """
    known = context.store.plan(job)
    if known is not None:
        return known
    request = context.store.request(job)
    execute = parse_execute(request.execute)
    context.live.update(job, phase="choosing imagery")
    plan = _plan(context, request, execute)
    probabilities.create(context.storage, plan, serving_card(plan))
    reasons.create(context.storage, plan, serving_card(plan))
    pictures.create(context.storage, plan, serving_card(plan))
    return context.store.freeze_plan(plan)


def _plan(context: Context, request: RequestRecord, execute: Execute) -> Plan:
    source = execute.inputs.imagery.job
    wanted = still_wanted(context, request.job)
    if source is None:
        ground = while_wanted(lambda: _new_ground(context, execute.inputs), wanted)
    else:
        ground = _known_ground(context, request, source)
    context.store.logs.write(request.job, "plan", ground.imagery.provenance)
    wanted()
    return _complete(context, request, execute, ground)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What is mapped, and from what: chosen anew, or taken from a finished job (`source`)."""

    card: Card
    imagery: ImageryPlan
    block_pixels: int
    scene_graph: bool
    source: Plan | None = None


def _new_ground(context: Context, inputs: Inputs) -> _Ground:
    settings, card = context.settings, card_of(inputs.model)
    area = None if inputs.aoi is None else _area(inputs, card, settings.max_vertices)
    imagery = plan_imagery(inputs, card, area, context.uploads, settings, context.scratch)
    scene_graph = maps_cells(inputs.resolution, card) and card.scene_graph is not None
    return _Ground(card, imagery, block_side(card, settings.block_pixels), scene_graph)


def _known_ground(context: Context, request: RequestRecord, source: str) -> _Ground:
    """Return the ground of a finished job; raises InvalidRequest where it cannot be taken."""
    known = finished_plan(context.store, source, tenant=request.tenant)
    check_source(parse_execute(request.execute), known)
    imagery = ImageryPlan.model_validate(known.imagery)
    return _Ground(card_of(known.model), imagery, known.block_pixels, known.scene_graph, source=known)


def _complete(context: Context, request: RequestRecord, execute: Execute, ground: _Ground) -> Plan:
    """Add parcels, reference data and blocks to a ground."""
    inputs, imagery, card = execute.inputs, ground.imagery, ground.card
    grid = Grid(**imagery.grid)
    outline = project(shape(imagery.area), grid.crs)
    context.live.update(request.job, phase="cleaning parcels and buildings")
    blocks = cut_blocks(grid, ground.block_pixels, outline)
    site = Site(request.job, Lattice(grid, ground.block_pixels, blocks), outline, card)
    vectors = store_vectors(context, site, inputs)
    known = ground.source
    wanted = reasons.wanted(execute.selected, card)
    keeps = wanted and (known is None or known.keeps_reasons)
    warnings = [*imagery.warnings, *vectors.warnings]
    if known is None:
        looked = while_wanted(lambda: _domain(context, imagery, card, grid), still_wanted(context, request.job))
        warnings.extend(looked)
    elif wanted and not keeps:
        detail = f"{known.job} kept no reasons: the last two bands of the uncertainty are empty"
        warnings.append(Warned(code="reasons-not-kept", detail=detail))
    return Plan(
        job=request.job,
        model=card.id,
        model_version=card.version,
        grid=grid_record(grid),
        block_pixels=ground.block_pixels,
        blocks=blocks,
        aoi=imagery.area,
        km2=imagery.km2,
        imagery=imagery.model_dump(mode="json"),
        building_bounds=vectors.building_bounds,
        parcels=vectors.parcels,
        reference=vectors.reference,
        units=inputs.units,
        map_side=card.geometry.scene if maps_cells(inputs.resolution, card) else 1,
        scene_graph=ground.scene_graph,
        source=None if known is None else known.job,
        keeps_reasons=keeps,
        keeps_pictures=pictures.OUTPUT in execute.selected,
        min_coverage=inputs.min_coverage,
        outputs=execute.selected,
        warnings=tuple(warnings),
    )


def _area(inputs: Inputs, card: Card, max_vertices: int) -> Area:
    area = parse_area(inputs.aoi or {}, pointer="/inputs/aoi", max_vertices=max_vertices)
    check_limits(area, min_km2=card.limits.min_km2, max_km2=card.limits.max_km2, pointer="/inputs/aoi")
    return area


def _domain(context: Context, imagery: ImageryPlan, card: Card, grid: Grid) -> Sequence[Warned]:
    """Compare a window in the grid's middle with what the network was trained on; one that cannot be read warns not."""
    opened = open_imagery(imagery, card, context.uploads, context.settings, context.scratch)
    side = min(PROBE_PIXELS * 2, grid.height), min(PROBE_PIXELS * 2, grid.width)
    try:
        image = opened.read((grid.height - side[0]) // 2, (grid.width - side[1]) // 2, *side)
    except ImageryUnavailable as error:
        log.info("the imagery was not compared with the training data: %s", error.detail)
        return ()
    if not np.any(image.valid):
        return ()
    warned = domain_warning(image.reflectance, image.valid, card)
    return () if warned is None else (warned,)
