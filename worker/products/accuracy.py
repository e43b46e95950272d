"""How right a map is where reference data tell the truth: measured once, told in the factsheet and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.accuracy.areas import AreaEstimates, estimate_areas
from models.accuracy.bootstrap import REPEATS, TEST_SHARE, Spread, polygon_matrices, spread_of_scores
from models.accuracy.metrics import class_f1, producers_accuracy, scores, users_accuracy
from models.classes import MapClass

# A split by polygon says something where a class has several.
_FEWEST_POLYGONS: Final = 2


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class: user's and producer's accuracy, and its area in km2 as mapped and as estimated, +- 95 %.

    None stands for what cannot be measured.
    """

    kind: MapClass
    users: float | None
    producers: float | None
    f1: float | None
    mapped_km2: float
    km2: float | None
    margin: float | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A map against reference data.

    `matrix` (class, class) counts pixels, rows the reference and columns the map; `unmapped` pixels have no class.
    `overall` and `overall_margin` weigh classes by their mapped area (None where the sample allows no estimate, and
    `areas_note` says why); `covered` is the share of the mapped area whose classes were sampled twice or more.
    `spread` is that of repeated splits by polygon, None without enough polygons.
    """

    points: int
    polygons: int
    unmapped: int
    matrix: NDArray[np.int64]
    metrics: dict[str, float]
    classes: tuple[ClassFigures, ...]
    overall: float | None
    overall_margin: float | None
    covered: float | None
    areas_note: str
    spread: dict[str, Spread] | None

    @property
    def pixels(self) -> int:
        """How many pixels were compared."""
        return int(self.matrix.sum())


def assess(
    truth: NDArray[Any], counts: NDArray[np.int64], is_polygon: NDArray[np.bool_],
    *, classes: tuple[MapClass, ...], mapped_km2: NDArray[np.float64],
) -> Accuracy:  # fmt: skip
    """Assess a map from the pixels under each reference feature.

    `truth` (n,) are class codes, `counts` (n, classes + 1) the map's pixels under each feature with those without a
    class first, `mapped_km2` (classes,) the mapped areas. Accuracies count pixels. Areas are estimated from features, a
    polygon counting once as what most of its pixels are: pixels of one polygon are alike, and would feign certainty.
    """
    k = len(classes)
    matrix = np.zeros((k, k), np.int64)
    np.add.at(matrix, np.asarray(truth) - 1, counts[:, 1:])
    areas, note = _areas(truth, counts[:, 1:], mapped_km2)
    return Accuracy(
        points=int((~is_polygon).sum()),
        polygons=int(is_polygon.sum()),
        unmapped=int(counts[:, 0].sum()),
        matrix=matrix,
        metrics=scores(matrix),
        classes=_figures(matrix, classes, mapped_km2, areas),
        overall=None if areas is None else areas.overall,
        overall_margin=None if areas is None else areas.overall_margin,
        covered=None if areas is None else areas.covered,
        areas_note=note,
        spread=_spread(truth, counts[:, 1:], is_polygon, k),
    )


def accuracy_document(accuracy: Accuracy) -> bytes:
    """Return everything measured as JSON."""
    labels = [figures.kind.label for figures in accuracy.classes]
    document = {
        "reference": {"points": accuracy.points, "polygons": accuracy.polygons,
                      "pixels": accuracy.pixels, "unmapped_pixels": accuracy.unmapped},
        "metrics": accuracy.metrics,
        "confusion_matrix": {"rows": "reference", "columns": "map", "labels": labels,
                             "counts": accuracy.matrix.tolist()},
        "bootstrap": None if accuracy.spread is None else {
            "method": f"{REPEATS} draws of {TEST_SHARE:.0%} of the polygons of every class", "repeats": REPEATS,
            "metrics": {name: asdict(spread) for name, spread in accuracy.spread.items()},
        },
        "area_estimates": {
            "method": "Olofsson et al. (2014), strata are the mapped classes; margins of 95 % confidence intervals",
            "note": accuracy.areas_note, "unit": "km2", "overall_accuracy": _told(accuracy.overall),
            "overall_margin": _told(accuracy.overall_margin), "sampled_share_of_map": _told(accuracy.covered),
        },
        "classes": [
            {"code": f.kind.code, "label": f.kind.label, "name": f.kind.name, "users_accuracy": f.users,
             "producers_accuracy": f.producers, "f1": f.f1, "mapped_km2": _told(f.mapped_km2),
             "estimated_km2": _told(f.km2), "estimated_margin_km2": _told(f.margin)}
            for f in accuracy.classes
        ],
    }  # fmt: skip
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def confusion_picture(accuracy: Accuracy) -> dict[str, Any]:
    """Return what the factsheet draws: labels of the classes that occur, and a shaded cell for each pair of them."""
    matrix = accuracy.matrix
    present = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    cells = []
    for y, row in enumerate(present):
        whole = matrix[row].sum()
        for x, column in enumerate(present):
            count = int(matrix[row, column])
            share = count / whole if whole else 0.0
            cells.append({"x": x, "y": y, "count": _short(count), "right": row == column, "share": round(share, 3)})
    return {"kinds": [accuracy.classes[i].kind for i in present], "cells": cells}


def _areas(truth: NDArray[Any], counts: NDArray[np.int64], mapped: Any) -> tuple[AreaEstimates | None, str]:
    seen = counts.sum(axis=1) > 0
    sample = np.zeros((counts.shape[1], counts.shape[1]))
    np.add.at(sample, (counts[seen].argmax(axis=1), np.asarray(truth)[seen] - 1), 1)
    try:
        found = estimate_areas(sample, mapped)
    except ValueError:
        return None, "no mapped class holds two reference features or more"
    if found.covered < 1:
        return found, "mapped classes with fewer than two reference features are left out"
    return found, ""


def _spread(truth: NDArray[Any], counts: NDArray[np.int64], polygon: NDArray[np.bool_], k: int) -> Any:
    numbers = np.bincount(np.asarray(truth)[polygon], minlength=1)
    if numbers.max() < _FEWEST_POLYGONS:
        return None
    return spread_of_scores(polygon_matrices(np.asarray(truth)[polygon], counts[polygon], classes=k))


def _figures(
    matrix: NDArray[np.int64], classes: tuple[MapClass, ...], mapped: NDArray[np.float64], areas: AreaEstimates | None
) -> tuple[ClassFigures, ...]:
    users, producers = users_accuracy(matrix), producers_accuracy(matrix)
    f1 = class_f1(matrix, [c.label for c in classes])
    rows = []
    for i, kind in enumerate(classes):
        known = areas is not None and (areas.used[i] or areas.areas[i] > 0)
        km2, margin = (float(areas.areas[i]), float(areas.area_margins[i])) if areas and known else (None, None)
        own = _told(float(users[i])), _told(float(producers[i]))
        rows.append(ClassFigures(kind, *own, f1.get(kind.label), float(mapped[i]), km2, margin))
    return tuple(rows)


def _told(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 4)


def _short(count: int) -> str:
    """Return a count in four characters at most."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= 10 * size:
            return f"{count // size}{letter}"
    return str(count) if count else ""
