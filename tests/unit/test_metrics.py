"""The accuracies against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models import metrics

TRUTH = np.array([1, 1, 1, 2, 2, 17, 17, 17, 17, 15, 0])
FOUND = np.array([1, 1, 2, 2, 17, 17, 17, 17, 17, 15, 5])


@pytest.fixture
def matrix() -> np.ndarray:
    return metrics.confusion(TRUTH, FOUND)


def test_counts(matrix: np.ndarray):
    assert matrix.sum() == 10
    assert matrix[0, 0] == 2
    assert matrix[0, 1] == 1
    assert matrix[1, 16] == 1


def test_accuracies(matrix: np.ndarray):
    assert metrics.overall_accuracy(matrix) == pytest.approx(0.8)
    assert metrics.average_accuracy(matrix) == pytest.approx((2 / 3 + 1 / 2 + 1 + 1) / 4)
    chance = (3 * 2 + 2 * 2 + 4 * 5 + 1 * 1) / 100
    assert metrics.kappa(matrix) == pytest.approx((0.8 - chance) / (1 - chance))


def test_f1(matrix: np.ndarray):
    each = metrics.f1_scores(matrix)
    assert each[0] == pytest.approx(0.8)
    assert each[1] == pytest.approx(0.5)
    assert each[16] == pytest.approx(8 / 9)
    assert np.isnan(each[4])
    assert metrics.macro_f1(matrix) == pytest.approx((0.8 + 0.5 + 8 / 9 + 1) / 4)


def test_weighted_accuracy_counts_likeness(matrix: np.ndarray):
    assert metrics.weighted_accuracy(matrix) == pytest.approx((8 + 0.92 + 0.08) / 10)
    np.testing.assert_array_equal(metrics.SIMILARITY, metrics.SIMILARITY.T)
    assert (np.diag(metrics.SIMILARITY) == 1).all()


def test_urban_and_built(matrix: np.ndarray):
    assert metrics.urban_accuracy(matrix) == pytest.approx(3 / 4)
    assert metrics.built_accuracy(matrix) == pytest.approx(8 / 9)  # one of nine changes sides; E is out


def test_nothing_to_count():
    empty = metrics.confusion(np.array([0]), np.array([1]))
    assert np.isnan(metrics.overall_accuracy(empty))
    assert np.isnan(metrics.macro_f1(empty))
