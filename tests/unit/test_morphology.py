"""The morphology raster against hand-computed cases, and its independence of the window it is computed in."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from models.morphology import DEFAULT_HEIGHT, HALO_METRES, BadMorphology, morphology

GRID = Affine(10, 0, 500_000, 0, -10, 4_000_000)


def at(x: float, y: float, width: float, depth: float) -> shapely.Polygon:
    """Return a box whose upper-left corner lies x, y metres right of and below the grid's."""
    return shapely.box(500_000 + x, 4_000_000 - y - depth, 500_000 + x + width, 4_000_000 - y)


def test_a_tower_that_fills_a_pixel():
    raster = morphology([at(50, 50, 10, 10)], np.array([20.0]), GRID, (11, 11))
    built, height, spread, sky, aspect, valid = raster
    assert built[5, 5] == 1
    assert built.sum() == 1
    assert np.expm1(4 * height[5, 5]) == pytest.approx(20, rel=1e-5)
    assert not spread.any()
    assert sky[5, 5] == 1  # no open ground in this pixel
    assert 0.5 < sky[5, 4] < 0.9
    assert sky[5, 4] == pytest.approx(sky[5, 6], abs=0.02)
    # The walls (4 x 10 m x 20 m) stand on the pixel's edges; north and west walls fall to the pixel, others beyond.
    assert np.expm1(1.5 * aspect).sum() > 0
    assert (valid == 1).all()


def test_walls_are_measured_where_they_stand():
    raster = morphology([at(52.5, 52.5, 5, 5)], np.array([10.0]), GRID, (11, 11))
    built, aspect = raster[0, 5, 5], np.expm1(1.5 * raster[4, 5, 5])
    assert built == pytest.approx(0.25)
    assert aspect == pytest.approx(4 * 5 * 10 / 100 / (2 * 0.75), rel=1e-4)


def test_a_shared_wall_is_no_wall():
    alone = morphology([at(40, 40, 15, 7.5)], np.array([8.0]), GRID, (11, 11))
    pair = [at(40, 40, 7.5, 7.5), at(47.5, 40, 7.5, 7.5)]
    together = morphology(pair, np.array([8.0, 8.0]), GRID, (11, 11))
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_spread_of_heights():
    raster = morphology([at(40, 50, 10, 10), at(60, 50, 10, 10)], np.array([4.0, 10.0]), GRID, (11, 11))
    assert np.expm1(4 * raster[2, 5, 5]) == pytest.approx(3.0, rel=1e-5)


def test_a_long_canyon_sees_the_sky_that_theory_says():
    walls = [at(0, 0, 40, 400), at(60, 0, 40, 400)]
    sky = morphology(walls, np.array([20.0, 20.0]), GRID, (40, 10))[3, 20, 4:6].mean()
    # Floor of an endless canyon with H/W 1: sqrt(2) - 1.
    assert sky == pytest.approx(np.sqrt(2) - 1, abs=0.05)


def test_unknown_heights_take_the_default():
    known = morphology([at(50, 50, 10, 10)], np.array([DEFAULT_HEIGHT]), GRID, (11, 11))
    for unknown in (np.nan, 0.0, -3.0, np.inf):
        np.testing.assert_array_equal(morphology([at(50, 50, 10, 10)], np.array([unknown]), GRID, (11, 11)), known)


def test_no_buildings_and_uncovered_ground_are_zero():
    assert not morphology([], np.array([]), GRID, (5, 5)).any()
    covered = np.zeros((11, 11), dtype=bool)
    covered[:, :6] = True
    raster = morphology([at(50, 50, 30, 10)], np.array([9.0]), GRID, (11, 11), covered)
    assert not raster[:, :, 6:].any()
    assert raster[0, 5, 5] == 1
    empty = morphology([], np.array([]), GRID, (11, 11), covered)
    np.testing.assert_array_equal(empty[3], covered)


def test_odd_geometries_are_taken_or_left():
    hole = shapely.Polygon(at(40, 40, 30, 30).exterior, [at(50, 50, 10, 10).exterior.coords])
    twins = shapely.MultiPolygon([at(0, 0, 10, 10), at(90, 90, 10, 10)])
    other = [shapely.Point(500_050, 3_999_950), shapely.Polygon(), shapely.LineString([(0, 0), (1, 1)])]
    raster = morphology([hole, twins, *other], np.full(5, 7.0), GRID, (11, 11))
    assert raster[0].sum() == pytest.approx(8 + 2)
    assert raster[0, 5, 5] == 0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), row=st.integers(0, 25), column=st.integers(0, 25))
def test_a_window_equals_the_same_part_of_the_whole(seed: int, row: int, column: int):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 400, (60, 2))
    footprints = np.array(
        [shapely.affinity.rotate(at(x, y, *rng.uniform(3, 30, 2)), rng.uniform(0, 90)) for x, y in corners]
    )
    heights = rng.gamma(2, 8, 60)
    whole = morphology(footprints, heights, GRID, (40, 40))
    size = (12, 14)
    window = GRID @ Affine.translation(column, row)
    reach = shapely.box(*_bounds(window, size)).buffer(HALO_METRES, join_style="mitre")
    near = np.flatnonzero(shapely.intersects(footprints, reach))[::-1]
    covered = np.ones(size, dtype=bool)
    part = morphology(footprints[near], heights[near], window, size, covered)
    assert part.tobytes() == np.ascontiguousarray(whole[:, row : row + 12, column : column + 14]).tobytes()


def _bounds(transform: Affine, size: tuple[int, int]) -> tuple[float, float, float, float]:
    return transform.c, transform.f - 10 * size[0], transform.c + 10 * size[1], transform.f


def test_wrong_grids_are_refused():
    with pytest.raises(BadMorphology, match="north-up"):
        morphology([], np.array([]), Affine(20, 0, 0, 0, -20, 0), (5, 5))
    with pytest.raises(BadMorphology, match="north-up"):
        morphology([], np.array([]), Affine(10, 1, 0, 0, -10, 0), (5, 5))
    with pytest.raises(BadMorphology, match="heights"):
        morphology([at(0, 0, 9, 9)], np.array([]), GRID, (5, 5))
    with pytest.raises(BadMorphology, match="mask"):
        morphology([], np.array([]), GRID, (5, 5), np.ones((4, 5), dtype=bool))
