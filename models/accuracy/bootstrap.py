"""How much an accuracy depends on which reference features were drawn: the repeated splits of the LCZ Generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.accuracy.metrics import scores

REPEATS: Final = 25
TEST_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, standard deviation, lowest and highest value of one metric over the repeats, and how many had it."""

    mean: float
    deviation: float
    lowest: float
    highest: float
    repeats: int


def polygon_matrices(
    truth: NDArray[Any], counts: NDArray[Any], *, classes: int = 17, repeats: int = REPEATS, seed: int = 0
) -> list[NDArray[np.int64]]:
    """Draw the test share of the polygons of every class again and again; return the confusion matrix of each draw.

    `truth` (n,) is the class code of each polygon and `counts` (n, classes) its pixels by mapped class. The LCZ
    Generator (Demuzere et al. 2021) splits 25 times 70/30, by polygon and stratified by class, so that no polygon is on
    both sides. It trains on the 70; a map that is finished trains on nothing, and only the 30 are drawn, so that the
    spread compares with its figures. At least one polygon of each class is in each draw.
    """
    truth, counts = np.asarray(truth), np.asarray(counts)
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(truth == code) for code in range(1, classes + 1)]
    sizes = [max(1, round(TEST_SHARE * len(group))) if len(group) else 0 for group in groups]
    drawn = []
    for _ in range(repeats):
        matrix = np.zeros((classes, classes), np.int64)
        for row, (group, size) in enumerate(zip(groups, sizes, strict=True)):
            matrix[row] = counts[rng.permutation(group)[:size]].sum(axis=0)
        drawn.append(matrix)
    return drawn


def spread_of_scores(matrices: list[NDArray[np.int64]]) -> dict[str, Spread]:
    """Return how each of `models.accuracy.metrics.scores` is spread over confusion matrices, rounded to four places."""
    told = [scores(matrix) for matrix in matrices]
    values = {name: np.array([row[name] for row in told if name in row]) for row in told for name in row}
    return {name: _spread(column) for name, column in values.items()}


def _spread(values: NDArray[np.float64]) -> Spread:
    mean, deviation, lowest, highest = (
        round(float(x), 4) for x in (values.mean(), values.std(), values.min(), values.max())
    )
    return Spread(mean, deviation, lowest, highest, len(values))
