"""Assembles a job: judges its parcels, decides every pixel block by block, writes the outputs, result.json last."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from jobs.area import project
from jobs.plan import Block, Plan
from jobs.record import ResultRecord, Warned, now
from models.cards import Card, card_of
from worker.context import Context
from worker.imagery import ImageryPlan
from worker.parcels.units import UNIT_NAMES, Verdicts, decide_block, judge_parcels
from worker.parcels.zonal import merge_sums
from worker.pipeline import probabilities, reasons
from worker.pipeline.mapping import read_frame, sums_key
from worker.pipeline.outputs import Finished, write_outputs
from worker.pipeline.uncertainty import Evidence, uncertainty_of
from worker.products.accuracy import Accuracy, assess
from worker.products.doubts import BANDS
from worker.products.doubts import NODATA as UNSURE
from worker.products.facts import PRODUCT_TITLES, MapFacts, Measured, measure
from worker.reference import count_mapped

Bytes = NDArray[np.uint8]

WHOLE_COVERAGE = 0.999


@dataclass(frozen=True, slots=True)
class _Rasters:
    """The map's three bands over the job's grid, each (y, x), 0 outside the area of interest.

    `uncertainty` (band, y, x) is there where the job was asked for it.
    """

    classes: Bytes
    confidence: Bytes
    units: Bytes
    uncertainty: Bytes | None


def assemble(context: Context, plan: Plan) -> None:
    """Write the outputs of a job whose blocks are all mapped, then result.json; twice gives the same outputs."""
    context.live.update(plan.job, phase="assembling the map")
    card = card_of(plan.model)
    parcels, verdicts = _judge(context, plan, card)
    rasters = _decide(context, plan, card, parcels, verdicts)
    measured = measure(rasters.classes, rasters.units, rasters.confidence, grid=plan.pixel_grid, kinds=card.classes)
    reference = _assess(context, plan, rasters.classes, measured, card)
    warnings = (*plan.warnings, *_coverage(plan, rasters), *_unassessed(reference))
    facts = MapFacts(
        job=plan.job,
        title=PRODUCT_TITLES[card.product],
        card=card,
        grid=plan.pixel_grid,
        km2=plan.km2,
        measured=measured,
        imagery=ImageryPlan.model_validate(plan.imagery),
        created=context.store.request(plan.job).created,
        warnings=warnings,
        parcels=None if verdicts is None else _counts(verdicts),
        reference=reference,
    )
    finished = Finished(
        plan, facts, rasters.classes, rasters.confidence, rasters.units, parcels, verdicts, rasters.uncertainty
    )
    context.live.update(plan.job, phase="writing the outputs")
    with TemporaryDirectory(dir=context.scratch) as folder:
        outputs = write_outputs(finished, Path(folder), context.storage)
    context.store.finish(ResultRecord(job=plan.job, finished=now(), outputs=outputs, warnings=warnings))


def _judge(context: Context, plan: Plan, card: Card) -> tuple[gpd.GeoDataFrame | None, Verdicts | None]:
    if not plan.parcels:
        return None, None
    parcels = read_frame(context, f"jobs/{plan.job}/parcels.parquet")
    tables = []
    for block in plan.blocks:
        data = context.storage.get(sums_key(plan.job, block.id))
        if data is not None:
            tables.append(pq.read_table(io.BytesIO(data)))
    cell = (plan.pixel_grid.resolution * card.geometry.step) ** 2
    sums = merge_sums(tables, len(parcels))
    verdicts = judge_parcels(
        parcels, sums, cell_area=cell, thresholds=card.units, classes=card.classes, mode=plan.units
    )
    return parcels, verdicts


def _decide(
    context: Context, plan: Plan, card: Card, parcels: gpd.GeoDataFrame | None, verdicts: Verdicts | None
) -> _Rasters:
    grid = plan.pixel_grid
    outline = project(shape(plan.aoi), grid.crs)
    doubts = np.full((len(BANDS), *grid.shape), UNSURE, np.uint8) if reasons.OUTPUT in plan.outputs else None
    classes, confidence, units = (np.zeros(grid.shape, np.uint8) for _ in range(3))
    rasters = _Rasters(classes, confidence, units, doubts)
    for block in plan.blocks:
        values = probabilities.read(context.storage, plan, card, block)
        window = grid.window(block.row, block.column, block.height, block.width)
        decided = decide_block(
            window,
            probabilities.at_pixels(values, block, card),
            probabilities.at_scenes(values, block, card),
            mode=plan.units,
            classes=card.classes,
            scene=card.geometry.scene,
            parcels=parcels,
            verdicts=verdicts,
        )
        inside = _inside(outline, plan, block)
        for whole, part in (
            (rasters.classes, decided.map),
            (rasters.confidence, decided.confidence),
            (rasters.units, decided.units),
        ):
            whole[block.slices] = np.where(inside, part, 0)
        if doubts is not None:
            evidence = Evidence(values, reasons.read(context.storage, plan, card, block))
            told = uncertainty_of(decided, evidence, verdicts, block, card)
            doubts[(slice(None), *block.slices)] = np.where(inside, told, UNSURE)
    return rasters


def _inside(outline: BaseGeometry, plan: Plan, block: Block) -> Any:
    """Return which pixel centres of a block lie in the area of interest, (y, x)."""
    window = plan.pixel_grid.window(block.row, block.column, block.height, block.width)
    return geometry_mask([outline], window.shape, window.transform, invert=True)


def _coverage(plan: Plan, rasters: _Rasters) -> Sequence[Warned]:
    """Say how much of the area could not be mapped, where it is worth saying."""
    asked = plan.km2
    mapped = float(np.count_nonzero(rasters.classes)) * plan.pixel_grid.resolution**2 / 1e6
    if mapped >= WHOLE_COVERAGE * asked - (plan.pixel_grid.resolution / 1e3) * asked**0.5 * 4:
        return ()
    detail = f"{100 * mapped / asked:.1f} % of the area of interest could be mapped; the rest had no clear imagery"
    return (Warned(code="partly-mapped", detail=detail),)


def _assess(context: Context, plan: Plan, mapped: Bytes, measured: Measured, card: Card) -> Accuracy | None:
    """Return how right the map is where the job's reference data say what is there."""
    if not plan.reference:
        return None
    frame = read_frame(context, f"jobs/{plan.job}/reference.parquet")
    counts = count_mapped(frame, mapped, plan.pixel_grid, plan.blocks, len(card.classes))
    polygon = (frame.geom_type != "Point").to_numpy()
    km2 = np.array([area.km2 for area in measured.classes])
    return assess(frame["class_code"].to_numpy(), counts, polygon, classes=card.classes, mapped_km2=km2)


def _unassessed(reference: Accuracy | None) -> Sequence[Warned]:
    """Say that no reference feature lies on the map, where that is so."""
    if reference is None or reference.pixels:
        return ()
    detail = "no reference feature lies on a mapped pixel: the accuracy could not be measured"
    return (Warned(code="not-assessed", detail=detail),)


def _counts(verdicts: Verdicts) -> dict[str, int]:
    """Return how many parcels each kind of unit decided."""
    numbers = np.bincount(verdicts.unit, minlength=len(UNIT_NAMES))
    return {name: int(number) for name, number in zip(UNIT_NAMES, numbers, strict=True)}
