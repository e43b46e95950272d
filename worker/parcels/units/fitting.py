"""Fits the thresholds of a card's units on validation areas.

`python -m worker.parcels.units.fitting --card ID AREA [AREA ...] [--write]` reads the folders AREA (see
`validation.read_area`), prints the losses and the card's `[units]` section, and with `--write` puts it into the card;
JSON on the last line.

What is minimised is the mean over the areas of  -ln p(true class under the unit that decided, per pixel)  +  lambda
(1 - boundary F1)  +  mu (share of the map in patches under 1 ha)  +  a penalty where an area's map is less right than
its pixels alone. The search is a coordinate descent over the values below from the card's own thresholds, or from loose
ones where these are better: deterministic, and a value is left only for one that is better by more than noise.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from models.cards import CARDS_DIR, Card, UnitThresholds, card_of, read_card
from models.errors import CityzonesError
from worker.parcels.units.validation import Area, read_area

LAMBDA: Final = 0.5
MU: Final = 0.5
HARM: Final = 100.0
"""Of what an area loses against its own pixels: in effect a bound, as nobody brings parcels to have a worse map."""
_NOISE: Final = 5e-4
_RESAMPLES: Final = 1000

# Values tried, in the order the parameters are tried. Parcels keep the notion's size: parcel_min_area and
# parcel_max_area are not fitted, nor is min_valid, which is a promise to the reader of a map.
GRID: Final[dict[str, tuple[float, ...]]] = {
    "filter_scale": (0.0, 0.15, 0.25, 0.5, 1.0),
    "block_min_area": (2e3, 5e3, 1e4, 2e4),
    "parcel_top": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "parcel_entropy": (0.15, 0.3, 0.45, 0.6, 0.75, 0.9),
    "scene_top": (0.0, 0.5, 0.7, 0.9, 1.0),
    "street_reach": (0.0, 10.0, 20.0, 30.0),
    "water_top": (0.5, 0.7, 0.9, 0.97),
    "pixel_elongation": (2.5, 3.0, 4.0, 6.0, 8.0),
    "pixel_mean_width": (20.0, 30.0, 40.0, 50.0),
}
# The two limits on doubt hide one another: a descent along either alone stays where both are too strict.
_ELSEWHERE: Final = {"parcel_top": 0.3, "parcel_entropy": 0.9}
_HEADER: Final = "[units]\n"

Losses = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Thresholds, the losses of each area (area, 4: the figures of Loss) before and after, and how sure each is.

    `stability` is, by parameter, in which share of 1,000 resamplings of the areas its value is still the best.
    """

    thresholds: UnitThresholds
    before: Losses
    after: Losses
    stability: dict[str, float]


def fit(
    areas: Sequence[Area], start: UnitThresholds, *, only: Sequence[str] = tuple(GRID), sweeps: int = 2,
    threads: int = 1, tell: Callable[[str], None] = lambda _: None,
) -> Fitted:  # fmt: skip
    """Search the thresholds named `only` from `start`; areas count alike. Raises ValueError without areas."""
    if not areas:
        msg = "thresholds cannot be fitted without a validation area"
        raise ValueError(msg)
    grid = {name: GRID[name] for name in only}
    with ThreadPoolExecutor(threads) as pool:
        search = _Search(areas, pool, {})
        best = min((start, start.model_copy(update=_ELSEWHERE)), key=search.mean)
        for sweep in range(sweeps):
            began = best
            for name, values in grid.items():
                best = search.along(best, name, values)
                tell(f"sweep {sweep + 1}, {name}: {getattr(best, name):g}, loss {search.mean(best):.4f}")
            if best == began:
                break
        stability = {name: search.stability(best, name, values) for name, values in grid.items()}
        return Fitted(best, search.losses(start), search.losses(best), stability)


@dataclass(frozen=True, slots=True)
class _Search:
    areas: Sequence[Area]
    pool: ThreadPoolExecutor
    known: dict[UnitThresholds, Losses]

    def losses(self, thresholds: UnitThresholds) -> Losses:
        if thresholds not in self.known:
            found = list(self.pool.map(lambda area: area.loss(thresholds), self.areas))
            self.known[thresholds] = np.array([[each.surprise, each.borders, each.crumbs, each.harm] for each in found])
        return self.known[thresholds]

    def mean(self, thresholds: UnitThresholds) -> float:
        return float(self._weighed(thresholds).mean())

    def along(self, best: UnitThresholds, name: str, values: Sequence[float]) -> UnitThresholds:
        """Return the best of the values of one parameter, the one there was unless another is better by more."""
        for value in values:
            other = best.model_copy(update={name: value})
            if self.mean(other) < self.mean(best) - _NOISE:
                best = other
        return best

    def stability(self, best: UnitThresholds, name: str, values: Sequence[float]) -> float:
        tried = [best, *(best.model_copy(update={name: v}) for v in values if v != getattr(best, name))]
        losses = np.stack([self._weighed(each) for each in tried])
        count = len(self.areas)
        drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
        means = losses @ drawn.T / count
        return float((means[0] <= means.min(axis=0) + _NOISE).mean())

    def _weighed(self, thresholds: UnitThresholds) -> Losses:
        weighed: Losses = self.losses(thresholds) @ np.array([1.0, LAMBDA, MU, HARM])
        return weighed


def units_section(thresholds: UnitThresholds, told: str) -> str:
    """Return the `[units]` section of a card: every threshold, below a comment that tells where they come from."""
    lines = [f"{name} = {value!r}" for name, value in thresholds.model_dump().items()]
    return "\n".join([f"# {told}", "[units]", *lines, ""])


def with_units(card: str, section: str) -> str:
    """Return a card's text with its `[units]` section, and the comment above it, replaced, or added before accuracies.

    All else stays as it is, byte for byte.
    """
    blocks = card.split("\n\n")
    kept = [block for block in blocks if not any(line == _HEADER.strip() for line in block.splitlines())]
    accuracies = (k for k, block in enumerate(kept) if block.lstrip("\n").startswith("[[accuracy]]"))
    place = next(accuracies, len(kept))
    if place == len(kept):
        kept[-1] = kept[-1].rstrip("\n")
        return "\n\n".join([*kept, section])
    return "\n\n".join([*kept[:place], section.rstrip("\n"), *kept[place:]])


def write_units(path: Path, section: str) -> Card:
    """Put a section into a card file, in one step, and return the card; raises BadCard and leaves the file alone."""
    text = with_units(path.read_text(encoding="utf-8"), section)
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(text, encoding="utf-8")
    try:
        tomllib.loads(text)
        card = read_card(scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return card


def report(fitted: Fitted, areas: Sequence[Area]) -> Mapping[str, Any]:
    """Return what a fit found, for JSON."""
    names = ("surprise", "borders", "crumbs", "harm")
    return {
        "thresholds": fitted.thresholds.model_dump(),
        "areas": [area.name for area in areas],
        "lambda": LAMBDA,
        "mu": MU,
        **{
            when: dict(zip(names, (round(float(x), 4) for x in losses.mean(axis=0)), strict=True))
            for when, losses in (("before", fitted.before), ("after", fitted.after))
        },
        "stability": {name: round(share, 3) for name, share in fitted.stability.items()},
    }


def main() -> None:
    """Fit the thresholds of a card and print, or write, its section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "areas", nargs="+", type=Path, help="folders with probabilities.tif, truth.tif, parcels.parquet"
    )
    parser.add_argument("--card", required=True, help="id of the card: its classes, its thresholds to begin with")
    parser.add_argument("--defaults", action="store_true", help="begin with the defaults, not with the card's")
    parser.add_argument("--only", nargs="+", choices=GRID, default=list(GRID), help="thresholds to fit; others stay")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--told", default="", help="what the areas are, for the comment above the section")
    parser.add_argument("--write", action="store_true", help="put the section into the card")
    told = parser.parse_args()
    console = Console(stderr=True)
    try:
        card = card_of(told.card)
        step = card.geometry.step
        areas = [
            read_area(folder, card.classes, resolution=card.input.resolution * step, scene=card.geometry.scene // step)
            for folder in told.areas
        ]
        start = UnitThresholds() if told.defaults else card.units
        fitted = fit(
            areas, start, only=told.only, threads=told.threads, tell=lambda text: console.print(text, markup=False)
        )
        on = told.told or ", ".join(area.name for area in areas)
        section = units_section(fitted.thresholds, f"Fitted by `python -m worker.parcels.units.fitting` on {on}.")
        console.print(section, markup=False)
        if told.write:
            write_units(CARDS_DIR / f"{card.id}.toml", section)
    except CityzonesError as error:
        console.print(error.detail, style="red", markup=False)
        sys.exit(1)
    sys.stdout.write(json.dumps(report(fitted, areas)) + "\n")


if __name__ == "__main__":
    main()
