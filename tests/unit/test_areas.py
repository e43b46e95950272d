"""The good practices paper's own example, and what happens at the edges of the formulas."""

from __future__ import annotations

import numpy as np
import pytest

from models.accuracy.areas import estimate_areas

# Olofsson et al. (2014), section 5: deforestation, forest gain, stable forest, stable non-forest; hectares.
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
MAPPED = np.array([200_000, 150_000, 3_200_000, 6_450_000])


def test_the_worked_example_of_olofsson_2014():
    found = estimate_areas(COUNTS, MAPPED)
    assert found.overall == pytest.approx(0.947, abs=5e-4)
    assert found.overall_margin == pytest.approx(0.018, abs=5e-4)
    assert found.areas[0] == pytest.approx(235_086, abs=1)
    assert found.area_margins[0] == pytest.approx(68_418, abs=1)
    assert found.users == pytest.approx([0.88, 0.73, 0.93, 0.96], abs=5e-3)
    assert found.user_margins == pytest.approx([0.07, 0.10, 0.04, 0.02], abs=5e-3)
    assert found.producers == pytest.approx([0.75, 0.85, 0.93, 0.96], abs=5e-3)
    assert found.areas.sum() == pytest.approx(MAPPED.sum())
    assert found.covered == 1


def test_producers_margins_are_those_of_repeated_samples():
    rng, size = np.random.default_rng(0), COUNTS.sum(axis=1)
    drawn = []
    for _ in range(4000):
        sample = np.stack([rng.multinomial(n, row / n) for n, row in zip(size, COUNTS, strict=True)])
        shares = (MAPPED / size)[:, None] * sample
        drawn.append(np.diag(shares) / shares.sum(axis=0))
    assert estimate_areas(COUNTS, MAPPED).producer_margins == pytest.approx(1.96 * np.std(drawn, axis=0), rel=0.1)


def test_a_perfect_sample_gives_the_mapped_areas_without_doubt():
    found = estimate_areas(np.diag([5, 9]), np.array([30.0, 70.0]))
    assert found.areas == pytest.approx([30, 70])
    assert found.area_margins == pytest.approx([0, 0])
    assert (found.overall, found.overall_margin) == (1, 0)


def test_strata_with_too_few_samples_are_left_out_and_told():
    found = estimate_areas(np.array([[9, 1, 0], [0, 1, 0], [0, 0, 0]]), np.array([60.0, 30.0, 10.0]))
    assert found.used.tolist() == [True, False, False]
    assert found.covered == pytest.approx(0.6)
    assert found.areas == pytest.approx([54, 6, 0])
    assert np.isnan(found.users[1])
    assert np.isnan(found.producers[2])


@pytest.mark.parametrize(
    ("counts", "mapped"),
    [
        (np.ones((2, 3)), np.ones(2)),
        (np.ones(4), np.ones(2)),
        (-np.ones((2, 2)), np.ones(2)),
        (np.eye(2), np.ones(2)),
        (np.ones((2, 2)), np.zeros(2)),
    ],
)
def test_what_cannot_be_estimated_is_refused(counts: np.ndarray, mapped: np.ndarray):
    with pytest.raises(ValueError, match=r"expected|nothing can be estimated"):
        estimate_areas(counts, mapped)
