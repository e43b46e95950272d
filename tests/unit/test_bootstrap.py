"""Repeated splits by polygon: stratified, repeatable, and spread as the polygons are."""

from __future__ import annotations

import numpy as np
import pytest

from models.accuracy.bootstrap import polygon_matrices, spread_of_scores


def polygons(right: list[bool], code: int, wrong: int) -> tuple[np.ndarray, np.ndarray]:
    counts = np.zeros((len(right), 17), np.int64)
    for row, good in enumerate(right):
        counts[row, (code if good else wrong) - 1] = 10
    return np.full(len(right), code), counts


def test_every_draw_holds_a_third_of_each_class():
    parts = [polygons([True] * 10, 2, 3), polygons([True] * 20, 11, 12), polygons([True], 17, 1)]
    truth, counts = (np.concatenate(x) for x in zip(*parts, strict=True))
    drawn = polygon_matrices(truth, counts)
    assert len(drawn) == 25
    assert {tuple(m.sum(axis=1)[[1, 10, 16]]) for m in drawn} == {(30, 60, 10)}
    assert all((m.sum(axis=1)[[0, 2, 4]] == 0).all() for m in drawn)


def test_the_same_seed_draws_the_same():
    truth, counts = polygons([True, False] * 10, 5, 6)
    one, two = polygon_matrices(truth, counts), polygon_matrices(truth, counts)
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
    assert any((a != b).any() for a, b in zip(one, polygon_matrices(truth, counts, seed=1), strict=True))


def test_the_spread_is_that_of_the_draws():
    truth, counts = polygons([True, False] * 10, 5, 6)
    spread = spread_of_scores(polygon_matrices(truth, counts))["OA"]
    assert spread.lowest < spread.mean < spread.highest
    assert spread.repeats == 25
    assert spread.mean == pytest.approx(0.5, abs=0.15)
    certain = spread_of_scores(polygon_matrices(*polygons([True] * 9, 5, 6)))["OA"]
    assert (certain.mean, certain.deviation) == (1, 0)
