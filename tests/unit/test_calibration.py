"""Calibration error by hand, and temperatures recovered from probabilities that were sharpened on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from models.accuracy.calibration import (
    calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    tempered,
)


def test_expected_calibration_error_by_hand():
    table = reliability(np.array([0.95, 0.9, 0.92, 0.98, 0.55, 0.6]), np.array([1, 1, 1, 0, 1, 0]), bins=10)
    assert table.samples.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 1, 3]
    assert table.accuracy[[5, 8, 9]] == pytest.approx([1 / 2, 1, 2 / 3])
    assert table.confidence[[5, 8, 9]] == pytest.approx([0.575, 0.9, 0.95])
    assert table.error == pytest.approx((2 * 0.075 + 1 * 0.1 + 3 * (0.95 - 2 / 3)) / 6)


def test_of_class_probabilities():
    p = np.array([[0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.3, 0.7]])
    assert calibration_error(p, np.array([0, 0, 1, 1])) == pytest.approx((3 * (0.8 - 2 / 3) + 0.3) / 4)
    assert negative_log_likelihood(p[:1], np.array([0])) == pytest.approx(-np.log(0.8))
    assert np.isnan(reliability(np.array([]), np.array([])).error)


def test_tempering_changes_no_order_and_undoes_itself():
    p = np.random.default_rng(0).dirichlet(np.ones(17), 50)
    softer = tempered(p, 2.5)
    assert (softer.argmax(axis=1) == p.argmax(axis=1)).all()
    assert softer.max() < p.max()
    np.testing.assert_allclose(tempered(softer, 1 / 2.5), p, atol=1e-9)
    np.testing.assert_allclose(tempered(p, 1), p, atol=1e-9)


@pytest.mark.parametrize("wrong", [0.5, 1.0, 2.0])
def test_the_temperature_that_was_lost_is_found(wrong: float):
    rng = np.random.default_rng(1)
    honest = rng.dirichlet(np.full(5, 0.4), 8000)
    index = (honest.cumsum(axis=1) > rng.random((8000, 1))).argmax(axis=1)
    told = tempered(honest, 1 / wrong)
    found = fit_temperature(told, index)
    assert found == pytest.approx(wrong, rel=0.06)
    assert calibration_error(tempered(told, found), index) < 0.02
    assert negative_log_likelihood(tempered(told, found), index) <= negative_log_likelihood(told, index) + 1e-6


def test_nothing_to_fit_on_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        fit_temperature(np.empty((0, 17)), np.empty(0, int))
