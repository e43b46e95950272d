"""Plans a job: chooses imagery and grid, cleans parcels and buildings once, cuts blocks, and freezes it all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas as gpd
import numpy as np
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from jobs.area import Area, Grid, check_limits, parse_area, project
from jobs.plan import Plan, cut_blocks, grid_record
from jobs.record import RequestRecord, Warned
from jobs.request import Execute, Inputs, parse_execute
from models.cards import Card, card_of
from worker.context import Context
from worker.imagery import ImageryPlan, domain_warning, open_imagery, plan_imagery
from worker.parcels.cleaning import clean_parcels
from worker.parcels.sources import load_buildings, load_parcels
from worker.pipeline import probabilities, reasons
from worker.reference import load_reference

PROBE_PIXELS = 240


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
    probabilities.create(context.storage, plan, card_of(plan.model))
    reasons.create(context.storage, plan, card_of(plan.model))
    return context.store.freeze_plan(plan)


def _plan(context: Context, request: RequestRecord, execute: Execute) -> Plan:
    inputs, settings = execute.inputs, context.settings
    card = card_of(inputs.model)
    area = None if inputs.aoi is None else _area(inputs, card, settings.max_vertices)
    imagery = plan_imagery(inputs, card, area, context.uploads, settings, context.scratch)
    grid = Grid(**imagery.grid)
    outline = project(shape(imagery.area), grid.crs)
    context.live.update(request.job, phase="cleaning parcels and buildings")
    parcels, vector_warnings = _vectors(context, request.job, inputs, grid, outline)
    reference, reference_warnings = _reference(context, request.job, inputs, grid, outline)
    warnings = (*imagery.warnings, *vector_warnings, *reference_warnings, *_domain(context, imagery, card, grid))
    return Plan(
        job=request.job,
        model=card.id,
        model_version=card.version,
        grid=grid_record(grid),
        block_pixels=settings.block_pixels,
        blocks=cut_blocks(grid, settings.block_pixels, outline),
        aoi=imagery.area,
        km2=imagery.km2,
        imagery=imagery.model_dump(mode="json"),
        has_buildings=inputs.buildings is not None,
        parcels=parcels,
        reference=reference,
        units=inputs.units,
        outputs=execute.selected,
        warnings=warnings,
    )


def _area(inputs: Inputs, card: Card, max_vertices: int) -> Area:
    area = parse_area(inputs.aoi or {}, pointer="/inputs/aoi", max_vertices=max_vertices)
    check_limits(area, min_km2=card.limits.min_km2, max_km2=card.limits.max_km2, pointer="/inputs/aoi")
    return area


def _vectors(
    context: Context, job: str, inputs: Inputs, grid: Grid, outline: BaseGeometry
) -> tuple[int | None, Sequence[Warned]]:
    """Clean and store parcels and buildings; return the number of parcels and what the client should know."""
    where = (grid, outline, context.uploads, context.settings, context.scratch)
    warnings: list[Warned] = []
    count = None
    if inputs.buildings is not None:
        buildings = load_buildings(inputs.buildings, *where)
        warnings.extend(buildings.warnings)
        _store(context, f"jobs/{job}/buildings.parquet", buildings.frame)
    if inputs.parcels is not None:
        loaded = load_parcels(inputs.parcels, *where)
        cleaned = clean_parcels(loaded.frame, outline)
        warnings.extend((*loaded.warnings, *cleaned.warnings))
        _store(context, f"jobs/{job}/parcels.parquet", cleaned.frame)
        count = len(cleaned.frame)
    return count, warnings


def _reference(
    context: Context, job: str, inputs: Inputs, grid: Grid, outline: BaseGeometry
) -> tuple[int | None, Sequence[Warned]]:
    """Store the usable reference features; return their number and what the client should know."""
    if inputs.reference is None:
        return None, ()
    classes = card_of(inputs.model).classes
    where = (context.uploads, context.settings, context.scratch)
    loaded = load_reference(inputs.reference, classes, grid, outline, *where)
    _store(context, f"jobs/{job}/reference.parquet", loaded.frame)
    return len(loaded.frame), loaded.warnings


def _store(context: Context, key: str, frame: gpd.GeoDataFrame) -> None:
    with TemporaryDirectory(dir=context.scratch) as folder:
        path = Path(folder) / "table.parquet"
        frame.to_parquet(path, index=False, compression="zstd")
        context.storage.put(key, path)


def _domain(context: Context, imagery: ImageryPlan, card: Card, grid: Grid) -> Sequence[Warned]:
    """Compare a window in the grid's middle with what the network was trained on."""
    opened = open_imagery(imagery, card, context.uploads, context.settings, context.scratch)
    side = min(PROBE_PIXELS * 2, grid.height), min(PROBE_PIXELS * 2, grid.width)
    image = opened.read((grid.height - side[0]) // 2, (grid.width - side[1]) // 2, *side)
    if not np.any(image.valid):
        return ()
    warned = domain_warning(image.reflectance, image.valid, card)
    return () if warned is None else (warned,)
