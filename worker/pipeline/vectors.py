"""Parcels, buildings and reference data of a job: cleaned once, and dealt out to the blocks that need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from shapely.geometry.base import BaseGeometry

from jobs.plan import Bounds
from jobs.record import Warned
from jobs.request import Inputs
from models.cards import Card
from models.morphology import HALO_METRES
from worker.context import Context
from worker.parcels.units.grouping import group_small
from worker.parcels.vectors.buildings import building_chunks
from worker.parcels.vectors.cleaning import clean_parcels
from worker.parcels.vectors.partition import Lattice, write_parts
from worker.parcels.vectors.sources import load_parcels
from worker.pipeline.tables import write_frame
from worker.reference import load_reference


@dataclass(frozen=True, slots=True)
class Site:
    """Where a job maps: its blocks on the grid, the area of interest in the grid's CRS, and the network's card."""

    job: str
    lattice: Lattice
    outline: BaseGeometry
    card: Card


@dataclass(frozen=True, slots=True)
class Vectors:
    """What was stored: how many parcels and reference features, what the buildings span, and what there is to say."""

    parcels: int | None = None
    reference: int | None = None
    building_bounds: Bounds | None = None
    warnings: tuple[Warned, ...] = ()


def store_vectors(context: Context, site: Site, inputs: Inputs) -> Vectors:
    """Clean and store what a request brings along; raises BadVector, MissingCrs, UnknownUpload, ParcelsOutsideArea."""
    bounds, of_buildings = _buildings(context, site, inputs)
    parcels, of_parcels = _parcels(context, site, inputs)
    reference, of_reference = _reference(context, site, inputs)
    return Vectors(parcels, reference, bounds, (*of_buildings, *of_parcels, *of_reference))


def parcels_folder(job: str) -> str:
    """Return the key below which each block's parcels lie."""
    return f"jobs/{job}/parcels"


def buildings_folder(job: str) -> str:
    """Return the key below which each block's buildings lie."""
    return f"jobs/{job}/buildings"


def _where(context: Context, site: Site) -> tuple[Any, ...]:
    return site.lattice.grid, site.outline, context.uploads, context.settings, context.scratch


def _buildings(context: Context, site: Site, inputs: Inputs) -> tuple[Bounds | None, Sequence[Warned]]:
    """Give every block the buildings that its network's tiles may see."""
    if inputs.buildings is None:
        return None, ()
    chunks = building_chunks(inputs.buildings, *_where(context, site))
    reach = site.card.geometry.halo * site.lattice.grid.resolution + HALO_METRES
    write_parts(
        context.storage, buildings_folder(site.job), chunks, site.lattice,
        columns={"height": pa.float64()}, scratch=context.desk, reach=reach,
    )  # fmt: skip
    return chunks.bounds, chunks.warnings


def _parcels(context: Context, site: Site, inputs: Inputs) -> tuple[int | None, Sequence[Warned]]:
    """Keep the whole table for the end, and give every block its own parcels."""
    if inputs.parcels is None:
        return None, ()
    loaded = load_parcels(inputs.parcels, *_where(context, site))
    cleaned = clean_parcels(loaded.frame, site.outline)
    frame = cleaned.frame.assign(block=group_small(cleaned.frame, site.card.units))
    write_frame(context, f"jobs/{site.job}/parcels.parquet", frame)
    write_parts(context.storage, parcels_folder(site.job), [frame], site.lattice, columns={}, scratch=context.desk)
    return len(frame), (*loaded.warnings, *cleaned.warnings)


def _reference(context: Context, site: Site, inputs: Inputs) -> tuple[int | None, Sequence[Warned]]:
    if inputs.reference is None:
        return None, ()
    where = (context.uploads, context.settings, context.scratch)
    loaded = load_reference(inputs.reference, site.card.classes, site.lattice.grid, site.outline, *where)
    write_frame(context, f"jobs/{site.job}/reference.parquet", loaded.frame)
    return len(loaded.frame), loaded.warnings
