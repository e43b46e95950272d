"""Which unit decides a class: the parcel, the scene cell under it, or the single pixel; and the map that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize

from jobs.area import Grid
from models.cards import UnitThresholds
from models.classes import NODATA, MapClass
from worker.parcels.zonal import Sums

Mode = Literal["auto", "pixel", "scene", "parcel"]

# Codes of the `units` raster; a parcel that abstains has ABSTAIN and its pixels go by the scene.
ABSTAIN: Final = 0
PIXEL: Final = 1
SCENE: Final = 2
PARCEL: Final = 3
UNIT_NAMES: Final = ("abstain", "pixel", "scene", "parcel")

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was decided about n parcels, in the order of their table.

    `mean` (n, class) sums to 1, or is all 0 without imagery; `top` and `second` are class codes (0: none); `purity` is
    the probability of `top`, `entropy` is normalised to 0-1; `unit` is a code of `UNIT_NAMES`; `reason` says why a
    parcel did not decide for itself, and is empty where it did.
    """

    mean: Floats
    top: Bytes
    second: Bytes
    purity: Floats
    entropy: Floats
    valid_fraction: Floats
    pixels: Floats
    unit: Bytes
    reason: NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Decided:
    """One block of the map, each (y, x) uint8: class codes, top probability in percent, deciding unit; 0 is nodata.

    `parcel` (y, x) is the row of the parcel that holds each pixel, -1 where none does.
    """

    map: Bytes
    confidence: Bytes
    units: Bytes
    parcel: NDArray[np.int32]


def judge_parcels(
    parcels: gpd.GeoDataFrame,
    sums: Sums,
    *,
    cell_area: float,
    thresholds: UnitThresholds,
    classes: tuple[MapClass, ...],
    mode: Mode,
) -> Verdicts:
    """Judge each parcel by its mean probability (never by a vote of hard labels).

    `parcels` has the columns of `cleaning.clean_parcels`, `sums` covers the same rows over the whole grid, and
    `cell_area` is the area in m2 of one of the cells they were summed over.

    auto: pixel where the parcel is long or narrow or a water edge; parcel where its size fits the notion of the class
    and its probabilities agree; scene cell otherwise. pixel, scene and parcel: as asked, whatever the thresholds.
    """
    total = sums.probability.sum(axis=1)
    mean = _ratio(sums.probability, total[:, None])
    size = parcels["area_m2"].to_numpy()
    valid = np.minimum(_ratio(sums.valid_area * cell_area, size), 1.0)
    ranked = np.argsort(-mean, axis=1, kind="stable")[:, :2]
    top_two = np.take_along_axis(mean, ranked, axis=1)
    codes = np.array([c.code for c in classes], np.uint8)
    top, second = np.where(top_two > 0, codes[ranked], NODATA).astype(np.uint8).T
    entropy = _entropy(mean)
    seen = (valid >= thresholds.min_valid) & (total > 0)
    rules = _Rules(parcels, top, top_two[:, 0], entropy, seen, thresholds, _water(classes))
    unit, reason = rules.auto() if mode == "auto" else rules.asked(mode)
    pixels = sums.valid_area
    return Verdicts(mean, top, second, top_two[:, 0], entropy, valid, pixels, unit, reason)


def decide_block(
    grid: Grid,
    probabilities: Bytes,
    scenes: Bytes,
    *,
    mode: Mode,
    classes: tuple[MapClass, ...],
    scene: int = 10,
    parcels: gpd.GeoDataFrame | None = None,
    verdicts: Verdicts | None = None,
) -> Decided:
    """Decide every pixel of one block, `grid`.

    `probabilities` (class, y, x) and `scenes` (class, cell y, cell x; cells of `scene` pixels a side from the
    upper-left corner) are uint8, all 0 without imagery. A parcel that decides also fills its pixels without imagery;
    elsewhere they stay nodata. Without parcels, `auto` and `parcel` mean scene cells: Local Climate Zones are a notion
    of 100 m and more. Parcels hold the pixels whose centre they hold; where parcels overlap, the later row wins.
    """
    by_pixel = _top(probabilities, classes)
    by_scene = tuple(_expand(plane, scene, grid.shape) for plane in _top(scenes, classes))
    row = _burn(grid, parcels, verdicts)
    base = PIXEL if mode == "pixel" else SCENE
    unit = np.full(grid.shape, base, np.uint8)
    codes, shares = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    if verdicts is not None and len(verdicts.unit):
        held = row >= 0
        of_row = np.where(verdicts.unit == ABSTAIN, base, verdicts.unit).astype(np.uint8)
        unit[held] = of_row[row[held]]
        mine = held & (unit == PARCEL)
        codes[mine] = verdicts.top[row[mine]]
        shares[mine] = _percent(verdicts.purity)[row[mine]]
    imagery = by_pixel[0] != NODATA
    for code, (classes_there, percent) in ((PIXEL, by_pixel), (SCENE, by_scene)):
        mine = (unit == code) & imagery
        codes[mine], shares[mine] = classes_there[mine], percent[mine]
    unit[codes == NODATA] = 0
    return Decided(codes, shares, unit, row)


@dataclass(frozen=True, slots=True)
class _Rules:
    parcels: gpd.GeoDataFrame
    top: Bytes
    purity: Floats
    entropy: Floats
    seen: Mask
    thresholds: UnitThresholds
    water: int | None

    def auto(self) -> tuple[Bytes, NDArray[np.object_]]:
        """Apply the rules in order; the first that fits decides."""
        limits, size = self.thresholds, self.parcels["area_m2"].to_numpy()
        hectares = f"{limits.parcel_min_area / 1e4:g} ha", f"{limits.parcel_max_area / 1e4:g} ha"
        doubtful = (self.purity < limits.parcel_top) | (self.entropy > limits.parcel_entropy)
        return _first(
            len(size),
            (self.parcels["sliver"].to_numpy(), SCENE, "sliver"),
            (~self.seen, ABSTAIN, "too little imagery"),
            (self.parcels["elongation"].to_numpy() >= limits.pixel_elongation, PIXEL, "elongated"),
            (self._narrow(size), PIXEL, "narrow"),
            ((self.top == self.water) & (self.purity < limits.water_top), PIXEL, "water edge"),
            (size < limits.parcel_min_area, SCENE, f"under {hectares[0]}"),
            (size > limits.parcel_max_area, SCENE, f"over {hectares[1]}"),
            (doubtful, SCENE, "mixed"),
            otherwise=PARCEL,
        )

    def _narrow(self, size: Floats) -> Mask:
        """Return strips: narrower than the limit, and as narrow for their area as the longest rectangle allowed.

        The width alone would call every plot under 80 m x 80 m narrow (406 of the 407 plots of a Prague quarter),
        though such a plot is small, not long, and takes its block's class. Winding roads have a compact bounding
        rectangle; 2 A / perimeter by sqrt(A) sees them: it is sqrt(e) / (1 + e) for a rectangle of elongation e.
        """
        limits, width = self.thresholds, self.parcels["mean_width"].to_numpy()
        e = limits.pixel_elongation
        strip: Mask = (width < limits.pixel_mean_width) & (width < np.sqrt(size * e) / (1 + e))
        return strip

    def asked(self, mode: Mode) -> tuple[Bytes, NDArray[np.object_]]:
        """Give every parcel the unit the client asked for, as far as there is imagery."""
        unit = UNIT_NAMES.index(mode)
        sliver, size = self.parcels["sliver"].to_numpy(), len(self.parcels)
        if unit == PARCEL:
            return _first(
                size, (sliver, SCENE, "sliver"), (~self.seen, ABSTAIN, "too little imagery"), otherwise=PARCEL
            )
        everywhere = np.ones(size, bool)
        return _first(size, (~self.seen, ABSTAIN, "too little imagery"), (everywhere, unit, "as asked"), otherwise=unit)


def _first(n: int, *rules: tuple[Mask, int, str], otherwise: int) -> tuple[Bytes, NDArray[np.object_]]:
    unit, reason = np.full(n, otherwise, np.uint8), np.full(n, "", object)
    for fits, code, text in reversed(rules):
        unit[fits], reason[fits] = code, text
    return unit, reason


def _water(classes: tuple[MapClass, ...]) -> int | None:
    return next((c.code for c in classes if c.name.casefold() == "water"), None)


def _entropy(mean: Floats) -> Floats:
    logs = np.log(mean, out=np.zeros_like(mean), where=mean > 0)
    normalised: Floats = np.abs((mean * logs).sum(axis=1)) / np.log(mean.shape[1])
    return normalised


def _ratio(upper: Floats, lower: Floats) -> Floats:
    lower = np.broadcast_to(lower, upper.shape)
    return np.divide(upper, lower, out=np.zeros(upper.shape), where=lower > 0)


def _percent(shares: Floats) -> Bytes:
    return np.rint(100 * shares).astype(np.uint8)


def _top(probabilities: Bytes, classes: tuple[MapClass, ...]) -> tuple[Bytes, Bytes]:
    """Return the codes of the most probable classes and their probability in percent, both (y, x), 0 without any."""
    total = probabilities.sum(axis=0, dtype=np.uint32)
    best = probabilities.argmax(axis=0)
    highest = probabilities.max(axis=0)
    codes = np.array([c.code for c in classes], np.uint8)
    share = np.divide(highest, total, out=np.zeros(total.shape), where=total > 0)
    return np.where(total > 0, codes[best], NODATA).astype(np.uint8), _percent(share)


def _expand(cells: Bytes, side: int, shape: tuple[int, int]) -> Bytes:
    return cells.repeat(side, axis=0).repeat(side, axis=1)[: shape[0], : shape[1]]


def _burn(grid: Grid, parcels: gpd.GeoDataFrame | None, verdicts: Verdicts | None) -> NDArray[np.int32]:
    """Return the row of the parcel that holds each pixel's centre, (y, x); -1 where none does or it is a sliver."""
    rows = np.full(grid.shape, -1, np.int32)
    if parcels is None or verdicts is None:
        return rows
    candidates = _in_window(grid, parcels)
    shapes: list[tuple[Any, int]] = [(parcels.geometry.iloc[row], row) for row in candidates]
    if shapes:
        rasterize(shapes, out=rows, transform=grid.transform, all_touched=False)
    return rows


def _in_window(grid: Grid, parcels: gpd.GeoDataFrame) -> NDArray[np.intp]:
    west, south, east, north = parcels.bounds.to_numpy().T
    left, bottom, right, top = grid.bounds
    meets = (west < right) & (east > left) & (south < top) & (north > bottom)
    return np.flatnonzero(meets & ~parcels["sliver"].to_numpy())
