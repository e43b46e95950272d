"""The accuracies against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.accuracy import metrics
from models.classes import LOCAL_CLIMATE_ZONES

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


def test_strict_urban_counts_built_mapped_as_natural(matrix: np.ndarray):
    assert metrics.strict_urban_accuracy(matrix) == pytest.approx(3 / 5)  # 5 are built, one of them became water


def test_of_each_class(matrix: np.ndarray):
    assert metrics.users_accuracy(matrix)[[0, 1, 16]] == pytest.approx([1, 1 / 2, 4 / 5])
    assert metrics.producers_accuracy(matrix)[[0, 1, 16]] == pytest.approx([2 / 3, 1 / 2, 1])
    assert np.isnan(metrics.users_accuracy(matrix)[4])
    told = metrics.class_f1(matrix, [c.label for c in LOCAL_CLIMATE_ZONES])
    assert told == {"1": 0.8, "2": 0.5, "E": 1.0, "G": 0.8889}


def test_scores_tell_what_can_be_measured(matrix: np.ndarray):
    assert set(metrics.scores(matrix)) == {"OA", "AA", "kappa", "macro_F1", "OA_w", "OA_u", "OA_u_strict", "OA_bu"}
    assert set(metrics.scores(metrics.confusion(np.array([17]), np.array([17])))) == {
        "OA", "AA", "macro_F1", "OA_w", "OA_bu",
    }  # fmt: skip


def test_nothing_to_count():
    empty = metrics.confusion(np.array([0]), np.array([1]))
    assert np.isnan(metrics.overall_accuracy(empty))
    assert np.isnan(metrics.macro_f1(empty))
