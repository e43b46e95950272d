"""What the units are worth: pixel, scene, parcel and auto side by side, on cities whose truth is known.

`python -m benchmarks.units [--seeds 1-8] [--areas FOLDER]` maps procedural cities that neither the network nor the
thresholds of its card have seen, in four conditions: as generated and with a third of their blocks of another class
than their district ("fragmented"), each with and without buildings; each with the city's parcels, and with the blocks
that its streets and river enclose ("-streets"), as a job has them that brings streets in place of parcels. `--areas`
adds Gdansk: its folder holds the areas that `python -m benchmarks.unit_areas gdansk` wrote. It prints a table, and the
same as JSON on the last line.

Overall accuracy and macro F1 are over pixels of 10 m. Boundary F1 is that of worker.parcels.units.borders: pixels at
borders of map and truth, matched within one pixel. Fragmentation is patches a km2, connected through the four sides.
"pixel" is the most probable class of each pixel as the network gave it, "pixel, filtered" that after the filter of
Demuzere et al. 2020 at its own metres; "auto, not fitted" has the thresholds a card has before they are fitted, "auto"
the card's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.unit_areas import CITY, FRAGMENTATION, numbers, procedural_areas
from models.accuracy.metrics import confusion, f1_scores, overall_accuracy
from models.cards import UnitThresholds, card_of
from models.errors import CityzonesError
from worker.parcels.units import UNIT_NAMES, Mode
from worker.parcels.units.borders import boundary_f1, patch_sizes
from worker.parcels.units.validation import Area, read_area

DEFAULTS: Final = UnitThresholds()
GOALS: Final = {"boundary_f1": 0.10, "overall_accuracy": 0.03}
"""What auto is to gain over single pixels on fragmented cities."""
console = Console(stderr=True)

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Row:
    """What one way to decide made of one area."""

    matrix: NDArray[np.int64]
    boundary_f1: float
    patches: int
    km2: float
    units: NDArray[np.int64]


def main() -> None:
    """Measure every area, print the tables and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=numbers, default="1-8", help="of procedural cities, such as 1-8 or 1,2")
    parser.add_argument("--areas", type=Path, help=f"folder with the areas {CITY}-* of benchmarks.unit_areas")
    parser.add_argument("--threads", type=int, default=2, help="of the network")
    told = parser.parse_args()
    began = time.monotonic()
    try:
        measured = _procedural(told.seeds, told.threads) | _city(told.areas)
    except CityzonesError as error:
        console.print(error.detail, style="red", markup=False)
        sys.exit(1)
    report = {name: _scenario(rows) for name, rows in measured.items()}
    for name, scenario in report.items():
        console.print(_table(name, scenario["rows"]))
    fragmented = report["fragmented"]["auto_over_pixel"]
    goals = {name: {"goal": goal, "mean": fragmented[name]["mean"], "met": fragmented[name]["mean"] >= goal}
             for name, goal in GOALS.items()}  # fmt: skip
    print(json.dumps({
        "seeds": told.seeds, "fragmentation": FRAGMENTATION, "patches": "4-connected", "scenarios": report,
        "goals_on_fragmented": goals, "seconds": round(time.monotonic() - began, 1),
    }))  # fmt: skip


def _procedural(seeds: Iterable[int], threads: int) -> dict[str, list[dict[str, Row]]]:
    found: dict[str, list[dict[str, Row]]] = {}
    limits = card_of("magnet").units
    for seed in seeds:
        for area in procedural_areas(seed, threads=threads):
            found.setdefault(area.name.removesuffix(f"-{seed}"), []).append(measure(area, limits))
        console.print(f"seed {seed}", markup=False)
    return found


def _city(folder: Path | None) -> dict[str, list[dict[str, Row]]]:
    if folder is None:
        console.print(f"without --areas {CITY} is left out; python -m benchmarks.unit_areas {CITY} writes them")
        return {}
    card = card_of("magnet-rgb")
    folders = sorted(folder.glob(f"{CITY}-*"))
    areas = (read_area(path, card.classes, resolution=10.0, scene=card.geometry.scene) for path in folders)
    rows = [measure(area, card.units) for area in areas]
    return {CITY: rows} if rows else {}


def measure(area: Area, limits: UnitThresholds) -> dict[str, Row]:
    """Decide an area in every way there is, and compare each with the truth."""
    whole, _ = area.filtered(1.0)
    nothing = np.zeros(area.truth.shape, np.uint8)
    rows = {
        "pixel": _row(area, _most_probable(area, area.probabilities), nothing + 1),
        "pixel, filtered": _row(area, _most_probable(area, whole), nothing + 1),
    }
    ways: tuple[tuple[str, Mode, UnitThresholds], ...] = (
        ("scene", "scene", DEFAULTS),
        ("parcel", "parcel", DEFAULTS),
        ("auto, not fitted", "auto", DEFAULTS),
        ("auto", "auto", limits),
    )
    for name, mode, thresholds in ways:
        decided, _ = area.decide(thresholds, mode)
        rows[name] = _row(area, decided.map, decided.units)
    return rows


def _most_probable(area: Area, values: Bytes) -> Bytes:
    codes = np.array([kind.code for kind in area.classes], np.uint8)
    return np.where(values.any(axis=0), codes[values.argmax(axis=0)], 0).astype(np.uint8)


def _row(area: Area, mapped: Bytes, units: Bytes) -> Row:
    known = (area.truth > 0) & (mapped > 0)
    shown = np.where(area.truth > 0, mapped, 0)
    km2 = np.count_nonzero(known) * area.grid.resolution**2 / 1e6
    counts = np.bincount(units[known], minlength=len(UNIT_NAMES))
    matrix = confusion(area.truth[known], mapped[known])
    return Row(matrix, boundary_f1(shown, area.truth), len(patch_sizes(shown)), km2, counts)


def _scenario(areas: list[dict[str, Row]]) -> dict[str, Any]:
    """Add up the areas of a scenario; boundary F1 is their mean. Gains are paired by area."""
    rows = {}
    for name in areas[0]:
        each = [area[name] for area in areas]
        matrix = np.sum([row.matrix for row in each], axis=0)
        units = np.sum([row.units for row in each], axis=0)
        rows[name] = {
            "overall_accuracy": round(overall_accuracy(matrix), 4),
            "macro_f1": round(float(np.nanmean(f1_scores(matrix))), 4),
            "boundary_f1": round(float(np.mean([row.boundary_f1 for row in each])), 4),
            "patches_per_km2": round(sum(row.patches for row in each) / sum(row.km2 for row in each), 2),
            "units": {
                unit: round(float(n / max(1, units.sum())), 3)
                for unit, n in zip(UNIT_NAMES, units, strict=True) if n
            },
        }  # fmt: skip
    pairs = [(area["pixel"], area["auto"]) for area in areas]
    gains = {
        "overall_accuracy": [overall_accuracy(b.matrix) - overall_accuracy(a.matrix) for a, b in pairs],
        "boundary_f1": [b.boundary_f1 - a.boundary_f1 for a, b in pairs],
    }
    told = {name: {"mean": round(float(np.mean(x)), 4), "least": round(min(x), 4), "most": round(max(x), 4)}
            for name, x in gains.items()}  # fmt: skip
    km2 = round(sum(area["pixel"].km2 for area in areas), 1)
    return {"areas": len(areas), "km2": km2, "rows": rows, "auto_over_pixel": told}


def _table(name: str, rows: dict[str, Any]) -> Table:
    table = Table(name, "OA", "macro F1", "boundary F1", "patches/km2", "decided by")
    for way, row in rows.items():
        units = ", ".join(f"{unit} {100 * share:.0f} %" for unit, share in row["units"].items())
        figures = [f"{row[key]:.3f}" for key in ("overall_accuracy", "macro_f1", "boundary_f1")]
        table.add_row(way, *figures, f"{row['patches_per_km2']:.1f}", units)
    return table


if __name__ == "__main__":
    main()
