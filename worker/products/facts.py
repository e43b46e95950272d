"""What every product says about a map: areas, units, imagery, model and warnings, gathered once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.area import Grid
from jobs.record import Warned
from models.cards import Card
from models.classes import NODATA, MapClass
from worker.imagery.plan import ImageryPlan
from worker.parcels.units import PARCEL, PIXEL, SCENE, UNIT_NAMES
from worker.products.accuracy import Accuracy

PRODUCT_TITLES = {"local-climate-zones": "Local Climate Zones", "land-cover": "Land cover"}


@dataclass(frozen=True, slots=True)
class ClassArea:
    """How much of the map one class covers: km2 in the grid's plane, and its share (0-1) of what was mapped."""

    kind: MapClass
    km2: float
    share: float


@dataclass(frozen=True, slots=True)
class UnitShare:
    """The share (0-1) of the mapped area that one kind of unit decided."""

    unit: str
    share: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures read off the finished rasters; classes in code order, those without any pixel included."""

    classes: tuple[ClassArea, ...]
    units: tuple[UnitShare, ...]
    mapped_km2: float
    mean_confidence: float


@dataclass(frozen=True, slots=True)
class MapFacts:
    """Everything the preview, the factsheet and the catalogue item tell.

    `created` is when the job was created, never when a product was written: made twice, a product has the same bytes.
    `parcels` counts the parcels by the unit that decided each (names of `UNIT_NAMES`), None without parcels;
    `reference` is the accuracy against reference data the client sent, where there was any.
    """

    job: str
    title: str
    card: Card
    grid: Grid
    km2: float
    measured: Measured
    imagery: ImageryPlan
    created: datetime
    warnings: tuple[Warned, ...] = ()
    parcels: dict[str, int] | None = None
    reference: Accuracy | None = None

    @property
    def product_title(self) -> str:
        """The product's name for people."""
        return PRODUCT_TITLES[self.card.product]

    @property
    def present(self) -> tuple[ClassArea, ...]:
        """The classes that occur in the map."""
        return tuple(area for area in self.measured.classes if area.km2 > 0)


def measure(
    classes: NDArray[np.uint8],
    units: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
    *,
    grid: Grid,
    kinds: tuple[MapClass, ...],
) -> Measured:
    """Measure finished rasters, each (y, x); rows may be passed in one array only, as all of them count."""
    pixel = grid.resolution**2 / 1e6
    counts = np.bincount(classes.ravel(), minlength=256)
    mapped = int(counts.sum() - counts[NODATA])
    areas = tuple(ClassArea(k, float(counts[k.code] * pixel), _share(counts[k.code], mapped)) for k in kinds)
    by_unit = np.bincount(units.ravel(), minlength=4)
    shares = tuple(UnitShare(UNIT_NAMES[u], _share(by_unit[u], mapped)) for u in (PARCEL, SCENE, PIXEL))
    total = float(np.bincount(confidence.ravel(), minlength=256) @ np.arange(256))
    return Measured(areas, shares, mapped * pixel, total / mapped if mapped else 0.0)


def _share(part: Any, whole: int) -> float:
    return float(part / whole) if whole else 0.0
