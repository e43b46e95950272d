"""How right a map is: confusion matrices and the accuracies of the Local Climate Zone literature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BUILT_CLASSES: Final = 10

# How alike two classes are (1: the same), from openness, height, cover and thermal inertia: Bechtel et al. (2017,
# 2020), as the LCZ Generator weighs its accuracies. Rows and columns are codes 1-17.
SIMILARITY: Final[NDArray[np.float64]] = np.array((
    (1, 0.92, 0.83, 0.67, 0.58, 0.5, 0.58, 0.75, 0.42, 0.75, 0.33, 0.25, 0.08, 0, 0.25, 0, 0),
    (0.92, 1, 0.92, 0.58, 0.67, 0.58, 0.67, 0.83, 0.42, 0.83, 0.42, 0.33, 0.25, 0.08, 0.33, 0.08, 0.08),
    (0.83, 0.92, 1, 0.5, 0.58, 0.67, 0.75, 0.92, 0.58, 0.92, 0.5, 0.42, 0.33, 0.17, 0.42, 0.17, 0.17),
    (0.67, 0.58, 0.5, 1, 0.92, 0.83, 0.75, 0.5, 0.75, 0.58, 0.5, 0.58, 0.5, 0.33, 0.08, 0.33, 0.33),
    (0.58, 0.67, 0.58, 0.92, 1, 0.92, 0.83, 0.67, 0.83, 0.67, 0.58, 0.67, 0.5, 0.42, 0.17, 0.42, 0.42),
    (0.5, 0.58, 0.67, 0.83, 0.92, 1, 0.92, 0.75, 0.92, 0.75, 0.67, 0.75, 0.67, 0.58, 0.25, 0.5, 0.5),
    (0.58, 0.67, 0.75, 0.75, 0.83, 0.92, 1, 0.67, 0.83, 0.67, 0.75, 0.67, 0.58, 0.42, 0.17, 0.42, 0.42),
    (0.75, 0.83, 0.92, 0.5, 0.67, 0.75, 0.67, 1, 0.75, 0.92, 0.42, 0.5, 0.42, 0.25, 0.5, 0.33, 0.33),
    (0.42, 0.42, 0.58, 0.75, 0.83, 0.92, 0.83, 0.75, 1, 0.67, 0.58, 0.67, 0.75, 0.58, 0.33, 0.58, 0.58),
    (0.75, 0.83, 0.92, 0.58, 0.67, 0.75, 0.67, 0.92, 0.67, 1, 0.42, 0.5, 0.42, 0.25, 0.5, 0.33, 0.33),
    (0.33, 0.42, 0.5, 0.5, 0.58, 0.67, 0.75, 0.42, 0.58, 0.42, 1, 0.92, 0.83, 0.67, 0.42, 0.67, 0.67),
    (0.25, 0.33, 0.42, 0.58, 0.67, 0.75, 0.67, 0.5, 0.67, 0.5, 0.92, 1, 0.92, 0.75, 0.5, 0.75, 0.75),
    (0.08, 0.25, 0.33, 0.5, 0.5, 0.67, 0.58, 0.42, 0.75, 0.42, 0.83, 0.92, 1, 0.83, 0.58, 0.83, 0.83),
    (0, 0.08, 0.17, 0.33, 0.42, 0.58, 0.42, 0.25, 0.58, 0.25, 0.67, 0.75, 0.83, 1, 0.75, 0.92, 0.92),
    (0.25, 0.33, 0.42, 0.08, 0.17, 0.25, 0.17, 0.5, 0.33, 0.5, 0.42, 0.5, 0.58, 0.75, 1, 0.75, 0.75),
    (0, 0.08, 0.17, 0.33, 0.42, 0.5, 0.42, 0.33, 0.58, 0.33, 0.67, 0.75, 0.83, 0.92, 0.75, 1, 0.92),
    (0, 0.08, 0.17, 0.33, 0.42, 0.5, 0.42, 0.33, 0.58, 0.33, 0.67, 0.75, 0.83, 0.92, 0.75, 0.92, 1),
))  # fmt: skip


def confusion(truth: NDArray[Any], predicted: NDArray[Any], classes: int = 17) -> NDArray[np.int64]:
    """Count (truth, predicted) pairs of raster codes 1..classes; pairs with a code outside are left out."""
    t, p = np.asarray(truth).ravel().astype(np.int64), np.asarray(predicted).ravel().astype(np.int64)
    use = (t >= 1) & (t <= classes) & (p >= 1) & (p <= classes)
    counts = np.bincount((t[use] - 1) * classes + p[use] - 1, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def overall_accuracy(matrix: NDArray[np.int64]) -> float:
    """Share of the samples on the diagonal; nan when there are none."""
    return _ratio(float(np.trace(matrix)), float(matrix.sum()))


def average_accuracy(matrix: NDArray[np.int64]) -> float:
    """Mean recall of the classes that occur in the truth."""
    present = matrix.sum(axis=1) > 0
    return float(np.mean(np.diag(matrix)[present] / matrix.sum(axis=1)[present])) if present.any() else float("nan")


def kappa(matrix: NDArray[np.int64]) -> float:
    """Cohen's kappa: agreement beyond what the marginals give by chance."""
    total = float(matrix.sum())
    chance = _ratio(float(matrix.sum(axis=0) @ matrix.sum(axis=1)), total * total)
    return _ratio(overall_accuracy(matrix) - chance, 1 - chance)


def f1_scores(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 of each class (classes,); nan for a class that occurs neither in the truth nor in the map."""
    return _shares(2.0 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def macro_f1(matrix: NDArray[np.int64]) -> float:
    """Mean F1 of the classes that occur in the truth."""
    present = matrix.sum(axis=1) > 0
    return float(f1_scores(matrix)[present].mean()) if present.any() else float("nan")


def weighted_accuracy(matrix: NDArray[np.int64]) -> float:
    """OA_w: every pair counts as much as its classes are alike (Bechtel et al. 2017)."""
    return _ratio(float((SIMILARITY * matrix).sum()), float(matrix.sum()))


def urban_accuracy(matrix: NDArray[np.int64]) -> float:
    """OA_u: accuracy among the samples whose truth and map are both of a built class (1-10)."""
    return overall_accuracy(matrix[:BUILT_CLASSES, :BUILT_CLASSES])


def strict_urban_accuracy(matrix: NDArray[np.int64]) -> float:
    """Accuracy among the samples whose truth is built: mapping them as natural counts as wrong, unlike in OA_u."""
    built = matrix[:BUILT_CLASSES]
    return _ratio(float(np.trace(built)), float(built.sum()))


def built_accuracy(matrix: NDArray[np.int64]) -> float:
    """OA_bu: built (1-10) against natural (A-D, F, G); LCZ E, which is either, is left out."""
    natural = np.r_[10:14, 15:17]
    built = np.arange(BUILT_CLASSES)
    right = matrix[np.ix_(built, built)].sum() + matrix[np.ix_(natural, natural)].sum()
    every = np.r_[built, natural]
    return _ratio(float(right), float(matrix[np.ix_(every, every)].sum()))


def users_accuracy(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Precision of each class (classes,): the share of what is mapped so that is so; nan where nothing is."""
    return _shares(np.diag(matrix), matrix.sum(axis=0))


def producers_accuracy(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Recall of each class (classes,): the share of what is so that is mapped so; nan where nothing is."""
    return _shares(np.diag(matrix), matrix.sum(axis=1))


def class_f1(matrix: NDArray[np.int64], labels: Sequence[str]) -> dict[str, float]:
    """Return the F1 of every class that occurs in the truth or in the map, by label, rounded to four places."""
    each = f1_scores(matrix)
    return {label: round(float(f1), 4) for label, f1 in zip(labels, each, strict=True) if not np.isnan(f1)}


def scores(matrix: NDArray[np.int64]) -> dict[str, float]:
    """Return the accuracies a model card tells, rounded to four places; what cannot be measured is left out.

    OA_w, OA_u and OA_bu are notions of the 17 Local Climate Zones: other matrices go without.
    """
    told = {
        "OA": overall_accuracy(matrix), "AA": average_accuracy(matrix), "kappa": kappa(matrix),
        "macro_F1": macro_f1(matrix),
    }  # fmt: skip
    if len(matrix) == len(SIMILARITY):
        told |= {
            "OA_w": weighted_accuracy(matrix), "OA_u": urban_accuracy(matrix),
            "OA_u_strict": strict_urban_accuracy(matrix), "OA_bu": built_accuracy(matrix),
        }  # fmt: skip
    return {name: round(value, 4) for name, value in told.items() if not np.isnan(value)}


def _shares(parts: NDArray[Any], wholes: NDArray[Any]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.full(len(parts), np.nan)
    np.divide(parts, wholes, out=shares, where=wholes > 0)
    return shares


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
