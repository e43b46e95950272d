"""Assembles a job: judges its parcels, decides every pixel block by block, writes the outputs, result.json last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas as gpd
import numpy as np

from jobs.metrics import MAPPED_KM2, MAPPED_PIXELS
from jobs.plan import Plan
from jobs.record import ResultRecord, Warned, now
from models.cards import Card
from worker.context import Context
from worker.imagery import ImageryPlan
from worker.parcels.units import UNIT_NAMES, Verdicts, judge_parcels, without_cells
from worker.pipeline.coverage import checked_coverage
from worker.pipeline.mapping import serving_card
from worker.pipeline.outputs import Finished, write_outputs
from worker.pipeline.painting import Painting, map_blocks, paint, prepare
from worker.pipeline.sums import whole_sums
from worker.pipeline.tables import read_frame
from worker.products.accuracy import Accuracy, assess
from worker.products.facts import PRODUCT_TITLES, MapFacts, Measured
from worker.reference import count_mapped


def assemble(context: Context, plan: Plan, *, still_wanted: Callable[[], None]) -> None:
    """Write the outputs of a job whose blocks are all mapped, then result.json; twice gives the same outputs.

    `still_wanted` is called between blocks and outputs and may raise to stop. Raises TooLittleCoverage where less of
    the area could be mapped than the client asks for, or nothing at all.
    """
    context.live.update(plan.job, phase="assembling the map")
    card = serving_card(plan)
    judged = _judge(context, plan, card)
    with TemporaryDirectory(dir=context.desk) as name, prepare(plan, card, Path(name)) as painting:
        paint(painting, context, plan, card, judged, still_wanted=still_wanted)
        measured = painting.tally.measured(plan.map_grid, card.classes)
        coverage = checked_coverage(context, plan, mapped_km2=measured.mapped_km2, asked_km2=painting.asked_km2)
        reference = _assess(context, plan, painting, measured, card)
        warnings = (*plan.warnings, *coverage.warnings, *_unassessed(reference))
        request = context.store.request(plan.job)
        facts = MapFacts(
            job=plan.job,
            title=request.head.title or PRODUCT_TITLES[card.product],
            card=card,
            grid=plan.map_grid,
            km2=plan.km2,
            measured=measured,
            imagery=ImageryPlan.model_validate(plan.imagery),
            created=request.created,
            coverage=coverage.share,
            warnings=warnings,
            parcels=None if judged is None else _counts(judged[1]),
            reference=reference,
        )
        context.live.update(plan.job, phase="writing the outputs")
        outputs = write_outputs(
            Finished(plan, facts, painting, judged), Path(name), context.storage, still_wanted=still_wanted
        )
    result = ResultRecord(
        job=plan.job, finished=now(), outputs=outputs, coverage=round(coverage.share, 6), warnings=warnings
    )
    if context.store.finish(result):
        MAPPED_KM2.labels(card.product).inc(measured.mapped_km2)
        MAPPED_PIXELS.labels(card.product).inc(sum(block.width * block.height for block in plan.blocks))


def _judge(context: Context, plan: Plan, card: Card) -> tuple[gpd.GeoDataFrame, Verdicts] | None:
    if not plan.parcels:
        return None
    parcels = read_frame(context, f"jobs/{plan.job}/parcels.parquet")
    cell = (plan.pixel_grid.resolution * card.geometry.step) ** 2
    sums = whole_sums(context, plan, card, len(parcels))
    verdicts = judge_parcels(
        parcels,
        sums,
        cell_area=cell,
        thresholds=card.units,
        classes=card.classes,
        mode=plan.units,
        block=parcels["block"].to_numpy(),
    )
    return parcels, verdicts if card.has_cells else replace(verdicts, unit=without_cells(verdicts.unit))


def _assess(context: Context, plan: Plan, painting: Painting, measured: Measured, card: Card) -> Accuracy | None:
    """Return how right the map is where the job's reference data say what is there."""
    if not plan.reference:
        return None
    frame = read_frame(context, f"jobs/{plan.job}/reference.parquet")
    counts = count_mapped(frame, painting.classes.read, plan.map_grid, map_blocks(plan), len(card.classes))
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
