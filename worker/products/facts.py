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
from worker.parcels.units import BLOCK, PARCEL, PIXEL, SCENE, UNIT_NAMES
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
    """Figures of the finished rasters; classes in code order, those without any pixel included."""

    classes: tuple[ClassArea, ...]
    units: tuple[UnitShare, ...]
    mapped_km2: float
    mean_confidence: float


@dataclass(frozen=True, slots=True)
class MapFacts:
    """Everything the preview, the factsheet and the catalogue item tell.

    `created` is when the job was created, never when a product was written: made twice, a product has the same bytes.
    `coverage` is the share (0-1) of the area of interest that has a class;
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
    coverage: float = 1.0
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


class Tally:
    """Counts what a map holds while it is decided window by window; the order of the windows changes nothing."""

    def __init__(self) -> None:
        self._classes = np.zeros(256, np.int64)
        self._units = np.zeros(256, np.int64)
        self._percent = 0

    def add(self, classes: NDArray[np.uint8], units: NDArray[np.uint8], confidence: NDArray[np.uint8]) -> None:
        """Count one window, each (y, x), 0 where nothing was mapped."""
        self._classes += np.bincount(classes.ravel(), minlength=256)
        self._units += np.bincount(units.ravel(), minlength=256)
        self._percent += int(confidence.sum(dtype=np.int64))

    def measured(self, grid: Grid, kinds: tuple[MapClass, ...]) -> Measured:
        """Return the figures of all windows on the pixels of `grid`."""
        pixel = grid.resolution**2 / 1e6
        mapped = int(self._classes.sum() - self._classes[NODATA])
        areas = tuple(
            ClassArea(k, float(self._classes[k.code] * pixel), _share(self._classes[k.code], mapped)) for k in kinds
        )
        shares = tuple(UnitShare(UNIT_NAMES[u], _share(self._units[u], mapped)) for u in (PARCEL, BLOCK, SCENE, PIXEL))
        return Measured(areas, shares, mapped * pixel, self._percent / mapped if mapped else 0.0)


def small_km2(value: float) -> str:
    """Write less than a square kilometre with three digits, to the square metre."""
    return f"{float(f'{value:.3g}'):.6f}".rstrip("0")


def _share(part: Any, whole: int) -> float:
    return float(part / whole) if whole else 0.0
