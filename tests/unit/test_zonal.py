"""Exact-coverage sums against shapely's intersections and exactextract."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from exactextract import exact_extract
from exactextract.feature import JSONFeatureSource
from exactextract.raster import NumPyRasterSource
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Point, Polygon, box

from jobs.area import Grid
from jobs.shapes import polygons_of
from worker.parcels.zonal import Sums, SumsMerger, class_areas, coverage_sums, merge_sums, sums_table

RNG = np.random.default_rng(7)
UNIT = Affine(1, 0, 0, 0, -1, 2)


def grid_of(height: int, width: int, *, resolution: float = 10.0, left: float = 500_000.0, top: float = 6e6) -> Grid:
    return Grid("EPSG:32633", left, top, resolution, width, height)


def oracle(polygons: np.ndarray, probabilities: np.ndarray, valid: np.ndarray, grid: Grid) -> Sums:
    left, _, _, top = grid.bounds
    size = grid.resolution
    cells = np.array([[box(left + x * size, top - (y + 1) * size, left + (x + 1) * size, top - y * size)
                       for x in range(grid.width)] for y in range(grid.height)])  # fmt: skip
    share = np.array([shapely.area(shapely.intersection(cells, p)) / size**2 for p in polygons])
    seen = share * valid
    return Sums(share.sum(axis=(1, 2)), seen.sum(axis=(1, 2)), np.einsum("nyx,kyx->nk", seen, probabilities / 255.0))


def raster(height: int, width: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    probabilities = RNG.integers(0, 256, (classes, height, width), dtype=np.uint8)
    return probabilities, RNG.random((height, width)) > 0.2


def assert_close(found: Sums, wanted: Sums, tolerance: float) -> None:
    np.testing.assert_allclose(found.area, wanted.area, atol=tolerance, rtol=0)
    np.testing.assert_allclose(found.valid_area, wanted.valid_area, atol=tolerance, rtol=0)
    np.testing.assert_allclose(found.probability, wanted.probability, atol=tolerance, rtol=0)


coordinate = st.one_of(st.floats(-3, 9), st.integers(-3, 9).map(float), st.sampled_from([0.0, 1e-9, 2 - 1e-12, 6.0]))


@st.composite
def shapes(draw: st.DrawFn) -> Polygon | MultiPolygon:
    """Polygons in pixels over a 6 x 6 grid: any star or bow-tie made valid, with holes, slivers, several parts."""
    ring = draw(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9))
    shape = Polygon(ring)
    kind = draw(st.sampled_from(["plain", "hole", "sliver", "two"]))
    shape = polygons_of(np.array([shape], dtype=object))[0]
    if kind == "hole":
        shape = shape.difference(Point(draw(coordinate), draw(coordinate)).buffer(0.8, quad_segs=3))
    elif kind == "sliver":
        shape = shapely.affinity.scale(shape, 1, 1e-4)
    elif kind == "two":
        shape = shape.union(box(6.5, 6.5, 9, 9)).union(box(0.25, 0.25, 0.75, 5))
    return polygons_of(np.array([shape], dtype=object))[0]


@settings(max_examples=300, deadline=None)
@given(st.lists(shapes(), min_size=1, max_size=4))
def test_any_polygon_equals_intersection_areas(drawn: list[Polygon]) -> None:
    grid = grid_of(6, 6, resolution=2.0, left=-4.0, top=20.0)
    polygons = np.array([shapely.affinity.affine_transform(p, [2, 0, 0, -2, -4, 20]) for p in drawn], dtype=object)
    polygons = polygons_of(polygons)
    probabilities, valid = raster(6, 6)
    found = coverage_sums(polygons, probabilities, valid, grid)
    assert_close(found, oracle(polygons, probabilities, valid, grid), 1e-6)
    assert (found.area <= shapely.area(polygons) / grid.resolution**2 + 1e-6).all()
    assert (found.valid_area <= found.area + 1e-6).all()
    assert (found.probability <= found.valid_area[:, None] + 1e-6).all()


def test_agrees_with_exactextract() -> None:
    grid = grid_of(60, 80)
    left, bottom, right, top = grid.bounds
    centres = shapely.points(RNG.uniform(left - 50, right + 50, 200), RNG.uniform(bottom - 50, top + 50, 200))
    polygons = shapely.buffer(centres, RNG.uniform(1, 120, 200))
    polygons = np.array([p.difference(c.buffer(p.length / 30)) for p, c in zip(polygons, centres, strict=True)])
    probabilities, _ = raster(60, 80, 2)
    found = coverage_sums(polygons, probabilities, np.ones((60, 80), bool), grid)
    features = [{"type": "Feature", "properties": {}, "geometry": p.__geo_interface__} for p in polygons]
    for k in range(2):
        source = NumPyRasterSource(probabilities[k].astype(float), xmin=left, ymin=bottom, xmax=right, ymax=top)
        answer = exact_extract(source, JSONFeatureSource(features), ["sum", "count"], output="pandas")
        np.testing.assert_allclose(found.probability[:, k] * 255, answer["sum"].fillna(0), rtol=1e-6, atol=1e-2)
        np.testing.assert_allclose(found.area, answer["count"], rtol=1e-6, atol=1e-5)


def test_whole_pixels_and_nothing_outside() -> None:
    grid = grid_of(3, 3)
    probabilities = np.zeros((2, 3, 3), np.uint8)
    probabilities[0], probabilities[1, 1, 1] = 51, 204
    valid = np.ones((3, 3), bool)
    valid[0] = False
    left, bottom, right, top = grid.bounds
    polygons = np.array([box(left, bottom, right, top), box(right, bottom, right + 50, top), Polygon()])
    sums = coverage_sums(polygons, probabilities, valid, grid)
    assert sums.area.tolist() == [9, 0, 0]
    assert sums.valid_area.tolist() == [6, 0, 0]
    np.testing.assert_allclose(sums.probability[0], [6 * 0.2, 0.8])


def test_nearly_level_edges_stay_within_the_pixel() -> None:
    grid = grid_of(4, 4, resolution=1.0, left=0.0, top=4.0)
    sliver = Polygon([(0, 2), (4, 2 + 1e-14), (4, 3), (0, 3)])
    sums = coverage_sums(np.array([sliver]), np.full((1, 4, 4), 255, np.uint8), np.ones((4, 4), bool), grid)
    assert sums.area[0] == pytest.approx(4, abs=1e-9)


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        coverage_sums(np.array([box(0, 0, 1, 1)]), np.zeros((1, 2, 2), np.uint8), np.ones((2, 2), bool), grid_of(3, 2))


def test_merging_checks_its_tables() -> None:
    with pytest.raises(ValueError, match="no sums"):
        merge_sums([], 3)
    sums = Sums(np.ones(5), np.ones(5), np.ones((5, 2)))
    with pytest.raises(ValueError, match="the parcel table has 3"):
        merge_sums([sums_table(sums)], 3)
    with pytest.raises(ValueError, match="hold 2 classes"):
        SumsMerger(5, 3).add(sums_table(sums))
    with pytest.raises(ValueError, match="uint8 and of float"):
        merge_sums(
            [sums_table(sums), sums_table(coverage_sums(np.array([box(0, 0, 1, 1)]), *raster(2, 2, 2), UNIT))], 5
        )
    with pytest.raises(ValueError, match="not a number"):
        merge_sums([sums_table(Sums(np.ones(2), np.ones(2), np.full((2, 1), np.nan)))], 5)
    empty = merge_sums([sums_table(Sums(np.zeros(5), np.zeros(5), np.zeros((5, 2))))], 5)
    assert empty.probability.shape == (5, 2)
    assert empty.area.sum() == 0


def test_class_areas_are_sums_of_one_hot() -> None:
    grid = grid_of(50, 70)
    left, bottom, right, top = grid.bounds
    polygons = shapely.buffer(shapely.points(RNG.uniform(left, right, 60), RNG.uniform(bottom, top, 60)), 90)
    codes = RNG.integers(0, 5, (50, 70), dtype=np.uint8)
    one_hot = np.stack([np.where(codes == k, 255, 0) for k in range(1, 5)]).astype(np.uint8)
    sums = coverage_sums(polygons, one_hot, codes > 0, grid)
    areas = class_areas(polygons, codes, grid, classes=4)
    assert areas.tobytes() == sums.probability.tobytes()
    assert areas.tobytes() == class_areas(polygons, codes, grid, classes=4, threads=3).tobytes()
    np.testing.assert_allclose(areas.sum(axis=1), sums.valid_area)


def test_class_areas_know_their_codes() -> None:
    polygons = np.array([box(0, 0, 2, 2)])
    codes = np.array([[1, 2], [255, 2]], np.uint8)
    assert class_areas(polygons, codes, UNIT, classes=3, nodata=255).tolist() == [[1, 2, 0]]
    with pytest.raises(ValueError, match=r"codes \[255\]"):
        class_areas(polygons, codes, UNIT, classes=3)
    with pytest.raises(ValueError, match=r"codes \[0\]"):
        class_areas(polygons, codes - np.uint8(1), UNIT, classes=3, nodata=254)
    with pytest.raises(ValueError, match="nodata is none of them"):
        class_areas(polygons, codes, UNIT, classes=3, nodata=2)
    with pytest.raises(ValueError, match="uint8"):
        class_areas(polygons, codes.astype(float), UNIT, classes=3)


def test_pixels_need_not_be_square() -> None:
    transform = Affine(2.5, 0, 100, 0, -7, 500)
    polygon = Point(130, 460).buffer(20).difference(box(125, 450, 128, 455))
    probabilities, valid = raster(12, 20)
    found = coverage_sums(np.array([polygon]), probabilities, valid, transform)
    cells = np.array([[box(100 + x * 2.5, 500 - y * 7 - 7, 102.5 + x * 2.5, 500 - y * 7) for x in range(20)]
                      for y in range(12)])  # fmt: skip
    share = shapely.area(shapely.intersection(cells, polygon)) / 17.5
    assert found.area[0] == pytest.approx(share.sum(), abs=1e-6)
    wanted = (probabilities / 255 * valid * share).sum(axis=(1, 2))
    np.testing.assert_allclose(found.probability[0], wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("transform", "word"),
    [(Affine(1, 0.1, 0, 0, -1, 2), "rotated"), (Affine(1, 0, 0, 0, 1, 2), "north-up"),
     (Affine(-1, 0, 0, 0, -1, 2), "north-up"), (Affine(1, 0, np.nan, 0, -1, 2), "north-up")],
)  # fmt: skip
def test_other_grids_are_refused(transform: Affine, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        coverage_sums(np.array([box(0, 0, 1, 1)]), *raster(2, 2), transform)


def test_windows_between_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="whole pixels"):
        coverage_sums(np.array([box(0, 0, 1, 1)]), *raster(2, 2), UNIT, origin=(0.5, 2))


def test_bad_input_is_refused() -> None:
    polygons = np.array([box(0, 0, 1, 1)])
    with pytest.raises(ValueError, match="uint8"):
        coverage_sums(polygons, np.zeros((1, 2, 2)), np.ones((2, 2), bool), UNIT)
    with pytest.raises(ValueError, match="threads"):
        coverage_sums(polygons, *raster(2, 2), UNIT, threads=0)
    many = np.broadcast_to(np.uint8(0), (1, 1 << 14, (1 << 13) + 1))
    with pytest.raises(ValueError, match="cut it"):
        coverage_sums(polygons, many, np.broadcast_to(np.True_, many.shape[1:]), UNIT)
    with pytest.raises(ValueError, match="mark such pixels"):
        coverage_sums(polygons, np.full((1, 2, 2), np.nan, np.float32), np.ones((2, 2), bool), UNIT)
    masked = coverage_sums(polygons, np.full((1, 2, 2), np.nan, np.float32), np.zeros((2, 2), bool), UNIT)
    assert masked.area.tolist() == [1]
    assert masked.probability.tolist() == [[0]]
