"""Measures maps of a city honestly: folds of whole square kilometres, and intervals by resampling them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve

from models.accuracy.metrics import (
    average_accuracy,
    built_accuracy,
    class_f1,
    confusion,
    f1_scores,
    kappa,
    overall_accuracy,
    strict_urban_accuracy,
    urban_accuracy,
    weighted_accuracy,
)
from models.classes import LOCAL_CLIMATE_ZONES
from models.data.cities.ground import CityGround
from models.data.cities.vectors import BadCity

FOLDS: Final = 5
FREQUENT: Final = 100  # cells: fewer say little of a class
RESAMPLES: Final = 1000
_LABELS: Final = tuple(told.label for told in LOCAL_CLIMATE_ZONES)
_INTERVAL: Final = (2.5, 97.5)  # percentiles
# Accuracies that get an interval.
TOLD: Final = ("overall_accuracy", "oa_urban", "oa_urban_strict", "oa_built", "oa_weighted", "kappa", "macro_f1_100")

# A method: probabilities (m, 17) of the test cells (m, 2), learnt from the training cells (n, 2) of the city.
Method = Callable[[CityGround, NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Fold:
    """Cells to learn from and to be measured on, (n, 2) and (m, 2); no square kilometre is in both."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a map of cells is worth: accuracies by name, and the 95 % interval of some from resampled kilometres."""

    accuracies: dict[str, Any]
    intervals: dict[str, tuple[float | None, float | None]]


def block_folds(city: CityGround, count: int = FOLDS, seed: int = 0) -> list[Fold]:
    """Deal the city's square kilometres into folds by chance; raises BadCity where there are fewer than folds."""
    cells = city.cells
    blocks = city.blocks(cells)
    each = np.random.default_rng(seed).permutation(np.unique(blocks))
    if not 2 <= count <= len(each):  # noqa: PLR2004 - one fold would leave nothing to learn from
        raise BadCity(f"{city.name} has {len(each)} known square kilometres: it cannot be cut into {count} folds")
    found = []
    for part in np.array_split(each, count):
        held = np.isin(blocks, part)
        found.append(Fold(cells[~held], cells[held]))
    return found


def cross_validated(
    city: CityGround, folds: list[Fold], method: Method
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Run a method on every fold: all test cells (m, 2) and their probabilities (m, 17), fold after fold."""
    answers = [method(city, fold.train, fold.test) for fold in folds]
    return np.concatenate([fold.test for fold in folds]), np.concatenate(answers)


def smoothed(city: CityGround, cells: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average each cell's probabilities (m, 17) with those of its eight neighbours among `cells`, itself twice.

    Weights are 4 for the cell, 2 beside and 1 across: blocks of one class are wider than a cell.
    """
    kernel = np.outer((1.0, 2.0, 1.0), (1.0, 2.0, 1.0))
    grid = np.zeros((probabilities.shape[1], *city.truth.shape))
    grid[:, cells[:, 0], cells[:, 1]] = probabilities.T
    mean = np.stack([convolve(layer, kernel, mode="constant")[cells[:, 0], cells[:, 1]] for layer in grid], axis=1)
    return np.asarray(mean / np.maximum(mean.sum(axis=1, keepdims=True), 1e-9), dtype=np.float32)


def measure(
    truth: NDArray[Any], predicted: NDArray[Any], blocks: NDArray[Any], *, seed: int = 0, resamples: int = RESAMPLES
) -> Measured:
    """Measure predicted codes (m,) against the true ones; `blocks` (m,) names the square kilometre of each.

    Accuracies: overall_accuracy, average_accuracy, kappa, oa_urban (truth and map both built), oa_urban_strict (truth
    built), oa_built, oa_weighted, macro_f1_100 (classes with at least FREQUENT cells), f1 by class label, cells.
    """
    whole = confusion(truth, predicted)
    told, *replicas = _replicas(truth, predicted, blocks, seed, resamples)
    return Measured(
        _rounded(told | {"f1": class_f1(whole, _LABELS), "cells": int(whole.sum())}),
        {name: _interval([replica[name] for replica in replicas]) for name in TOLD},
    )


def _replicas(
    truth: NDArray[Any], predicted: NDArray[Any], blocks: NDArray[Any], seed: int, resamples: int
) -> list[dict[str, Any]]:
    """Return the accuracies as they are, then those of every resampling of the blocks."""
    each, index = np.unique(blocks, return_inverse=True)
    matrices = np.stack([confusion(truth[index == k], predicted[index == k]) for k in range(len(each))])
    drawn = np.random.default_rng(seed).multinomial(len(each), np.full(len(each), 1 / len(each)), size=resamples)
    weights = np.concatenate([np.ones((1, len(each)), dtype=np.int64), drawn])
    frequent = matrices.sum(axis=(0, 2)) >= FREQUENT
    return [_accuracies(matrix, frequent) for matrix in np.tensordot(weights, matrices, axes=1)]


def _accuracies(matrix: NDArray[np.int64], frequent: NDArray[np.bool_]) -> dict[str, Any]:
    scores = f1_scores(matrix)[frequent]
    return {
        "overall_accuracy": overall_accuracy(matrix),
        "average_accuracy": average_accuracy(matrix),
        "kappa": kappa(matrix),
        "oa_urban": urban_accuracy(matrix),
        "oa_urban_strict": strict_urban_accuracy(matrix),
        "oa_built": built_accuracy(matrix),
        "oa_weighted": weighted_accuracy(matrix),
        "macro_f1_100": float(np.nan_to_num(scores).mean()) if len(scores) else float("nan"),
    }


def _interval(values: list[float]) -> tuple[float | None, float | None]:
    known = np.array(values)[~np.isnan(values)]
    if not len(known):
        return None, None
    low, high = np.percentile(known, _INTERVAL)
    return round(float(low), 4), round(float(high), 4)


def _rounded(told: dict[str, Any]) -> dict[str, Any]:
    """Round to four places; what cannot be measured is None, as JSON has no nan."""
    return {name: _told(value) if isinstance(value, float) else value for name, value in told.items()}


def _told(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)


def gain(
    truth: NDArray[Any], first: NDArray[Any], second: NDArray[Any], blocks: NDArray[Any], *, seed: int = 0
) -> dict[str, tuple[float | None, float | None, float | None]]:
    """Return how much more of each accuracy the codes `second` reach than `first`: gain, and its 95 % interval.

    Both are measured on the same resampled square kilometres, so what makes a kilometre hard cancels out.
    """
    one, other = (_replicas(truth, codes, blocks, seed, RESAMPLES) for codes in (first, second))
    found = {}
    for name in TOLD:
        more = [b[name] - a[name] for a, b in zip(one, other, strict=True)]
        found[name] = (_told(more[0]), *_interval(more[1:]))
    return found
