"""Polygons at their worst: shared edges, corners on corners, far and broken coordinates, a million vertices."""

from __future__ import annotations

import time

import numpy as np
import pytest
import shapely
from affine import Affine
from exactextract import exact_extract
from exactextract.feature import JSONFeatureSource
from exactextract.raster import NumPyRasterSource
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Point, Polygon, box

from jobs.shapes import polygons_of
from worker.parcels.zonal import class_areas, coverage_sums

SIDE = 8
GRID = Affine(1, 0, 0, 0, -1, SIDE)
CODES = np.arange(1, SIDE * SIDE + 1, dtype=np.uint8).reshape(SIDE, SIDE)
CELLS = np.array([box(x, SIDE - y - 1, x + 1, SIDE - y) for y in range(SIDE) for x in range(SIDE)])


def shares(polygons: list[Polygon | MultiPolygon | None]) -> np.ndarray:
    """Return the share of every cell (polygon, cell): each cell is its own class."""
    return class_areas(np.array(polygons, dtype=object), CODES, GRID, classes=SIDE * SIDE)


def wanted(polygons: list[Polygon | MultiPolygon]) -> np.ndarray:
    return np.array([shapely.area(shapely.intersection(CELLS, polygon)) for polygon in polygons])


near_whole = st.integers(-2, SIDE + 2).flatmap(
    lambda n: st.sampled_from([0.0, 1e-9, -1e-9, 1e-13, 0.5]).map(lambda d: n + d)
)
anywhere = st.one_of(near_whole, st.floats(-3, SIDE + 3), st.sampled_from([-1e4, 1e4, 1234.5]))
corners = st.tuples(anywhere, anywhere).map(lambda xy: (round(xy[0], 13), round(xy[1], 13)))


@st.composite
def broken_then_mended(draw: st.DrawFn) -> Polygon | MultiPolygon:
    """A ring of drawn corners, some twice, with nearly level edges; mended, and perhaps with a hole at its shell."""
    ring = draw(st.lists(corners, min_size=3, max_size=12))
    ring += [(ring[-1][0], ring[-1][1])] * draw(st.integers(0, 2))
    if draw(st.booleans()):
        ring.append((draw(anywhere), ring[-1][1] + draw(st.sampled_from([1e-15, 1e-12, -1e-9]))))
    shape = polygons_of(shapely.make_valid(np.array([Polygon(ring)], dtype=object)))[0]
    if draw(st.booleans()) and not shape.is_empty:
        x, y = shapely.get_coordinates(shape)[0]
        shape = shape.difference(Polygon([(x, y), (x + 1.5, y + 0.5), (x + 0.5, y + 1.5)]))
        shape = polygons_of(shapely.make_valid(np.array([shape], dtype=object)))[0]
    assume(shape.is_valid)  # what mending cannot mend is not for the kernel
    return shape


@settings(max_examples=400, deadline=None)
@given(st.lists(broken_then_mended(), min_size=1, max_size=3))
def test_every_cell_of_any_polygon(polygons: list[Polygon]) -> None:
    # Corners 10^4 pixels away leave the oracle, too, few digits.
    np.testing.assert_allclose(shares(polygons), wanted(polygons), atol=1e-6, rtol=0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 30)), min_size=2, max_size=40, unique=True), st.integers(0, 3))
def test_a_partition_of_the_plane_covers_the_grid_exactly(seeds: list[tuple[float, float]], digits: int) -> None:
    seeds = [(round(x, digits), round(y, digits)) for x, y in seeds]
    lines = shapely.voronoi_polygons(shapely.multipoints(seeds), extend_to=box(-5, -5, 45, 35), only_edges=True)
    frame = box(-5, -5, 45, 35)
    faces = shapely.polygonize([shapely.node(shapely.union_all([lines.intersection(frame), frame.exterior]))])
    polygons = shapely.get_parts(faces)
    if abs(shapely.area(polygons).sum() - frame.area) > 1e-9:
        return  # the drawn faces do not tile the frame
    codes = np.ones((30, 40), np.uint8)
    areas = class_areas(polygons, codes, Affine(1, 0, 0, 0, -1, 30), classes=1)
    assert areas.sum() == 1200


def test_cells_as_polygons_are_covered_exactly() -> None:
    assert (shares(list(CELLS)) == np.eye(SIDE * SIDE)).all()
    halves = [box(x, y, x + 0.5, y + 1) for x in (0, 0.5, 3.5) for y in range(SIDE)]
    assert (shares(halves).sum(axis=1) == 0.5).all()


def test_rings_may_turn_either_way() -> None:
    shell, hole = [(1, 1), (7, 1), (7, 7), (1, 7)], [(1, 1), (3, 5), (5, 3)]
    found = shares([Polygon(a, [b]) for a in (shell, shell[::-1]) for b in (hole, hole[::-1])])
    assert (found == found[0]).all()
    np.testing.assert_allclose(found[0], wanted([Polygon(shell, [hole])])[0], atol=1e-8)


@pytest.mark.parametrize("side", [1e2, 1e6, 1e11])
def test_polygons_far_larger_than_the_grid_cover_it(side: float) -> None:
    slanted = Polygon([(-side, -side), (side, -0.9 * side), (side, side), (-0.9 * side, side)])
    assert (shares([box(-side, -side, side, side), slanted]) == 1).all()


def test_outside_touching_empty_and_missing_count_nothing() -> None:
    empties = [None, Polygon(), MultiPolygon(), MultiPolygon([Polygon(), Polygon()])]
    outside = [box(-5, 0, 0, SIDE), box(SIDE, 0, SIDE + 5, SIDE), box(0, SIDE, SIDE, 9), box(0, -4, SIDE, 0)]
    assert not shares(empties + outside).any()
    assert shares([]).shape == (0, SIDE * SIDE)
    none = coverage_sums(
        np.array([None, Polygon()], dtype=object), np.zeros((2, 0, 5), np.uint8), np.zeros((0, 5), bool), GRID
    )
    assert none.probability.shape == (2, 2)


def test_one_part_that_is_empty_hides_no_other() -> None:
    assert shares([MultiPolygon([Polygon(), box(2, 2, 4, 4), Polygon()])]).sum() == 4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300, 1e13])
@pytest.mark.parametrize("axis", [0, 1])
def test_coordinates_that_are_no_place_are_refused(bad: float, axis: int) -> None:
    ring = np.array([(1.0, 1.0), (5.0, 1.0), (5.0, 5.0), (1.0, 5.0)])
    ring[2, axis] = bad
    with pytest.raises(ValueError, match=r"polygon 1 .*not finite or absurdly far"):
        shares([box(0, 0, 1, 1), Polygon(ring)])


@pytest.mark.parametrize("other", [Point(1, 1), shapely.linestrings([(0, 0), (1, 1)]), shapely.geometrycollections([])])
def test_other_geometries_are_refused(other: object) -> None:
    with pytest.raises(ValueError, match="geometry 1 is not a Polygon"):
        shares([box(0, 0, 1, 1), other])


def test_rings_that_cross_themselves_stay_within_the_cells() -> None:
    draw = np.random.default_rng(2)
    rings = [Polygon(draw.uniform(-4, 12, (40, 2))) for _ in range(200)]
    found = shares(rings)
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-5


def test_a_million_vertices() -> None:
    turns = np.linspace(0, 2 * np.pi, 1_000_001)[:-1]
    radius = 900 + 20 * np.sin(5000 * turns)
    star = Polygon(np.column_stack([1000 + radius * np.cos(turns), 1000 + radius * np.sin(turns)]))
    codes = np.ones((2000, 2000), np.uint8)
    class_areas(np.array([box(0, 0, 1, 1)]), codes, Affine(1, 0, 0, 0, -1, 2000), classes=1)
    begun = time.process_time()
    area = class_areas(np.array([star]), codes, Affine(1, 0, 0, 0, -1, 2000), classes=1)[0, 0]
    assert time.process_time() - begun < 10
    assert area == pytest.approx(star.area, rel=1e-9)


def test_a_million_vertices_within_one_pixel() -> None:
    turns = np.linspace(0, 2 * np.pi, 1_000_001)[:-1]
    disc = Polygon(np.column_stack([4.5 + 0.4 * np.cos(turns), 4.5 + 0.4 * np.sin(turns)]))
    assert shares([disc]).sum() == pytest.approx(disc.area, abs=1e-3)


def test_a_polygon_wider_than_the_buffers_is_taken_in_bands() -> None:
    codes = np.ones((700, 900), np.uint8)
    polygon = Point(450, 350).buffer(340, quad_segs=64).difference(Point(450, 350).buffer(100))
    area = class_areas(np.array([polygon]), codes, Affine(1, 0, 0, 0, -1, 700), classes=1)[0, 0]
    assert area == pytest.approx(polygon.area, rel=1e-9)


def test_hard_parcels_agree_with_exactextract() -> None:
    draw = np.random.default_rng(11)
    height, width = 120, 150
    centres = draw.uniform(-5, 155, (150, 2)).round(draw.integers(0, 3))
    shapes = [Point(x, y).buffer(draw.uniform(0.05, 20), quad_segs=int(draw.integers(1, 9))) for x, y in centres]
    shapes += [shapely.affinity.scale(s, 1, 1e-3) for s in shapes[:30]]
    shapes += [shapely.affinity.rotate(box(0, 0, 200, 0.01), a, origin=(60, 50)) for a in draw.uniform(0, 180, 20)]
    shapes += [shapes[i].union(shapes[i + 1]).difference(shapes[i + 2]) for i in range(0, 60, 3)]
    shapes = [s for s in shapes if isinstance(s, Polygon | MultiPolygon) and not s.is_empty]
    stack = draw.integers(0, 256, (2, height, width), dtype=np.uint8)
    found = coverage_sums(np.array(shapes), stack, np.ones((height, width), bool), Affine(1, 0, 0, 0, -1, height))
    features = [{"type": "Feature", "properties": {}, "geometry": s.__geo_interface__} for s in shapes]
    for k in range(2):
        source = NumPyRasterSource(stack[k].astype(float), xmin=0, ymin=0, xmax=width, ymax=height)
        answer = exact_extract(source, JSONFeatureSource(features), ["sum", "count"], output="pandas").fillna(0)
        np.testing.assert_allclose(found.area, answer["count"], atol=1e-5)
        np.testing.assert_allclose(found.probability[:, k] * 255, answer["sum"], atol=1e-3)
