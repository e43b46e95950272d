"""Judges parcels: by their mean probability, or their block's, and says which unit decides their ground."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from models.cards import UnitThresholds
from models.classes import NODATA, MapClass
from worker.parcels.units.verdicts import (
    ABSTAIN,
    BLOCK,
    PARCEL,
    PIXEL,
    SCENE,
    UNIT_NAMES,
    Bytes,
    Floats,
    Mode,
    Rows,
    Verdicts,
)
from worker.parcels.zonal import Sums

Mask = NDArray[np.bool_]
Reasons = NDArray[np.object_]


def judge_parcels(
    parcels: gpd.GeoDataFrame,
    sums: Sums,
    *,
    cell_area: float,
    thresholds: UnitThresholds,
    classes: tuple[MapClass, ...],
    mode: Mode,
    block: Rows | None = None,
) -> Verdicts:
    """Judge each parcel by its mean probability (never by a vote of hard labels).

    `parcels` has the columns of `cleaning.clean_parcels`, `sums` covers the same rows over the whole grid, and
    `cell_area` is the area in m2 of one of the cells they were summed over. `block` (n,) is the number of the block
    each parcel lies in, -1 for none (see `grouping.group_small`); None: there are no blocks.

    auto: pixel where the parcel is long or narrow or a water edge; its block where the parcel is small, and the block
    is not and is sure; parcel where its size fits the notion of the class and its probabilities agree; scene cell
    otherwise. pixel, scene and parcel: as asked, whatever the thresholds.
    """
    size = parcels["area_m2"].to_numpy()
    own = _opinion(sums, cell_area, size, classes)
    theirs = None if block is None or mode != "auto" else _of_blocks(parcels, sums, block, cell_area, classes)
    rules = _Rules(parcels, own, theirs, thresholds, water_code(classes))
    unit, reason = rules.auto() if mode == "auto" else rules.asked(mode)
    told = own if theirs is None else own.where(unit != BLOCK, theirs)
    return Verdicts(
        told.mean, told.top, told.second, told.purity, told.entropy, own.valid, sums.valid_area, unit, reason
    )


@dataclass(frozen=True, slots=True)
class _Opinion:
    """What the probabilities of n grounds say, and of how much of each: fields as in Verdicts, `size` in m2."""

    mean: Floats
    top: Bytes
    second: Bytes
    purity: Floats
    entropy: Floats
    valid: Floats
    size: Floats

    def seen(self, limits: UnitThresholds) -> Mask:
        seen: Mask = (self.valid >= limits.min_valid) & (self.top != NODATA)
        return seen

    def doubtful(self, limits: UnitThresholds) -> Mask:
        doubtful: Mask = (self.purity < limits.parcel_top) | (self.entropy > limits.parcel_entropy)
        return doubtful

    def where(self, mine: Mask, other: _Opinion) -> _Opinion:
        """Return this opinion on the rows `mine`, the other's on the rest."""
        pairs = [(getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__]
        return _Opinion(*(np.where(mine[:, None] if a.ndim > 1 else mine, a, b) for a, b in pairs))


def _opinion(sums: Sums, cell_area: float, size: Floats, classes: tuple[MapClass, ...]) -> _Opinion:
    """Return what sums say of grounds of `size` m2; how much of each was seen counts what of it lies on the grid."""
    mean = _ratio(sums.probability, sums.probability.sum(axis=1)[:, None])
    ranked = np.argsort(-mean, axis=1, kind="stable")[:, :2]
    top_two = np.take_along_axis(mean, ranked, axis=1)
    codes = np.array([c.code for c in classes], np.uint8)
    top, second = np.where(top_two > 0, codes[ranked], NODATA).astype(np.uint8).T
    valid = np.minimum(_ratio(sums.valid_area * cell_area, np.minimum(size, sums.area * cell_area)), 1.0)
    return _Opinion(mean, top, second, top_two[:, 0], _entropy(mean), valid, size)


def _of_blocks(
    parcels: gpd.GeoDataFrame, sums: Sums, block: Rows, cell_area: float, classes: tuple[MapClass, ...]
) -> _Opinion:
    """Return, a row a parcel, what its block says: the sums of all its parcels but slivers; nothing without a block."""
    size = parcels["area_m2"].to_numpy()
    member = (block >= 0) & ~parcels["sliver"].to_numpy()
    number = np.where(member, block, -1) + 1  # 0: no block
    count = int(number.max(initial=0)) + 1

    def gathered(values: Floats) -> Floats:
        total: Floats = np.bincount(number, values, count).astype(np.float64)
        total[0] = 0.0
        return total

    probability = np.column_stack([gathered(values) for values in sums.probability.T])
    whole = Sums(gathered(sums.area), gathered(sums.valid_area), probability)
    opinion = _opinion(whole, cell_area, gathered(size), classes)
    return _Opinion(*(getattr(opinion, name)[number] for name in opinion.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class _Rules:
    parcels: gpd.GeoDataFrame
    own: _Opinion
    theirs: _Opinion | None
    thresholds: UnitThresholds
    water: int | None

    def auto(self) -> tuple[Bytes, Reasons]:
        """Apply the rules in order; the first that fits decides."""
        limits, own, size = self.thresholds, self.own, self.own.size
        hectares = f"{limits.parcel_min_area / 1e4:g} ha", f"{limits.parcel_max_area / 1e4:g} ha"
        small = size < limits.parcel_min_area
        return _first(
            len(size),
            (self.parcels["sliver"].to_numpy(), SCENE, "sliver"),
            (~own.seen(limits), ABSTAIN, "too little imagery"),
            (self.parcels["elongation"].to_numpy() >= limits.pixel_elongation, PIXEL, "elongated"),
            (narrow(self.parcels, limits), PIXEL, "narrow"),
            ((own.top == self.water) & (own.purity < limits.water_top), PIXEL, "water edge"),
            (small & self._block_decides(), BLOCK, f"under {hectares[0]}: its block decides"),
            (small, SCENE, f"under {hectares[0]}"),
            (size > limits.parcel_max_area, SCENE, f"over {hectares[1]}"),
            (own.doubtful(limits), SCENE, "mixed"),
            otherwise=PARCEL,
        )

    def _block_decides(self) -> Mask:
        """Return whose block is as large as the notion of the class, seen, and sure."""
        limits, block = self.thresholds, self.theirs
        if block is None:
            return np.zeros(len(self.parcels), np.bool_)
        fits = (block.size >= limits.block_min_area) & (block.size <= limits.parcel_max_area)
        decides: Mask = fits & block.seen(limits) & ~block.doubtful(limits)
        return decides

    def asked(self, mode: Mode) -> tuple[Bytes, Reasons]:
        """Give every parcel the unit the client asked for, as far as there is imagery."""
        unit, unseen = UNIT_NAMES.index(mode), ~self.own.seen(self.thresholds)
        sliver, size = self.parcels["sliver"].to_numpy(), len(self.parcels)
        if unit == PARCEL:
            return _first(size, (sliver, SCENE, "sliver"), (unseen, ABSTAIN, "too little imagery"), otherwise=PARCEL)
        everywhere = np.ones(size, bool)
        return _first(size, (unseen, ABSTAIN, "too little imagery"), (everywhere, unit, "as asked"), otherwise=unit)


def narrow(parcels: gpd.GeoDataFrame, limits: UnitThresholds) -> Mask:
    """Return strips: narrower than the limit, and as narrow for their area as the longest rectangle allowed.

    The width alone would call every plot under 80 m x 80 m narrow (406 of the 407 plots of a Prague quarter), though
    such a plot is small, not long, and takes its block's class. Winding roads have a compact bounding rectangle;
    2 A / perimeter by sqrt(A) sees them: it is sqrt(e) / (1 + e) for a rectangle of elongation e.
    """
    width, size, e = parcels["mean_width"].to_numpy(), parcels["area_m2"].to_numpy(), limits.pixel_elongation
    strip: Mask = (width < limits.pixel_mean_width) & (width < np.sqrt(size * e) / (1 + e))
    return strip


def _first(n: int, *rules: tuple[Mask, int, str], otherwise: int) -> tuple[Bytes, Reasons]:
    unit, reason = np.full(n, otherwise, np.uint8), np.full(n, "", object)
    for fits, code, text in reversed(rules):
        unit[fits], reason[fits] = code, text
    return unit, reason


def water_code(classes: tuple[MapClass, ...]) -> int | None:
    """Return the code of the class called water; None where a product has none."""
    return next((c.code for c in classes if c.name.casefold() == "water"), None)


def _entropy(mean: Floats) -> Floats:
    logs = np.log(mean, out=np.zeros_like(mean), where=mean > 0)
    normalised: Floats = np.abs((mean * logs).sum(axis=1)) / np.log(mean.shape[1])
    return normalised


def _ratio(upper: Floats, lower: Floats) -> Floats:
    lower = np.broadcast_to(lower, upper.shape)
    return np.divide(upper, lower, out=np.zeros(upper.shape), where=lower > 0)
