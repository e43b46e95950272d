"""City blocks from lines: hand-made networks, the procedural city, and the lines of two real cities."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import GeometryCollection, LineString, MultiLineString, Point, Polygon, box

from jobs.errors import BadVector
from models.data.procedural.city import generate
from worker.parcels.vectors import blocks
from worker.parcels.vectors.blocks import Blocks, borders_of, derive_blocks, enclosing

AREA = box(0, 0, 1000, 800)
CRS = "EPSG:32633"


def derived(*lines: object, area: Polygon = AREA) -> Blocks:
    return derive_blocks(borders_of(np.array(lines, dtype=object)), area, CRS)


def assert_tiles(found: Blocks, area: Polygon) -> None:
    shapes = found.frame.geometry.to_numpy()
    assert shapely.is_valid(shapes).all()
    assert shapely.area(shapes).sum() == pytest.approx(area.area, rel=1e-3)
    assert shapely.coverage_is_valid(shapes)


def test_a_grid_of_streets_gives_its_blocks_in_reading_order() -> None:
    across = [LineString([(-50, y), (1050, y)]) for y in (200, 400, 600)]
    down = [LineString([(x, -50), (x, 850)]) for x in (250, 500, 750)]
    found = derived(*across, *down)
    assert found.frame["parcel_id"].tolist() == [f"block-{k}" for k in range(1, 17)]
    assert found.frame.crs == CRS
    assert not found.warnings
    np.testing.assert_allclose(found.frame.area, 50_000)
    middles = found.frame.centroid
    assert (middles[0].x, middles[0].y) == (125, 700)
    assert (middles[1].x, middles[1].y) == (375, 700)
    assert (middles[15].x, middles[15].y) == (875, 100)
    assert_tiles(found, AREA)


def test_the_order_of_lines_and_their_cuts_do_not_matter() -> None:
    lines = [LineString([(-50, 300), (400, 310), (1050, 280)]), LineString([(500, -9), (480, 900)])]
    cut = [LineString([(400, 310), (1050, 280)]), lines[1], LineString([(400, 310), (-50, 300)])]
    first, second = derived(*lines), derived(*cut)
    assert first.frame.geometry.to_wkb().tolist() == second.frame.geometry.to_wkb().tolist()


def test_dangling_streets_are_passed_over_and_bridges_cross() -> None:
    through = LineString([(0, 400), (1000, 400)])
    blind = LineString([(300, 400), (300, 700)])
    bridge = LineString([(600, 0), (600, 800)])
    assert len(derived(through, blind).frame) == 2
    assert len(derived(through, blind, bridge).frame) == 4


def test_a_gap_of_careless_drawing_is_closed() -> None:
    found = derived(LineString([(0, 400), (1000, 400)]), LineString([(500, 400.2), (500, 800)]))
    assert len(found.frame) == 3


def test_a_loop_is_a_block_in_a_block() -> None:
    found = derived(Point(500, 400).buffer(150).exterior)
    assert len(found.frame) == 2
    assert sorted(len(shape.interiors) for shape in found.frame.geometry) == [0, 1]
    assert_tiles(found, AREA)


def test_land_between_carriageways_and_in_roundabouts_joins_one_neighbour() -> None:
    avenue = [LineString([(0, y), (1000, y)]) for y in (395, 405)]
    roundabout = Point(500, 405).buffer(12).exterior
    crossing = LineString([(500, 0), (500, 800)])
    found = derived(*avenue, roundabout, crossing)
    assert len(found.frame) == 4
    assert [w.code for w in found.warnings] == ["blocks-merged"]
    assert (found.frame.area > 150_000).all()
    assert_tiles(found, AREA)


def test_blocks_never_join_each_other_over_tracks() -> None:
    tracks = [LineString([(0, y), (1000, y)]) for y in range(400, 460, 6)]
    found = derived(*tracks)
    assert len(found.frame) == 2
    assert_tiles(found, AREA)


def test_shores_and_collections_bound_blocks_too() -> None:
    lake = Polygon(box(200, 200, 800, 600).exterior, [box(400, 300, 600, 500).exterior])
    streets = GeometryCollection([MultiLineString([[(0, 400), (200, 400)], [(800, 400), (1000, 400)]]), Point(1, 1)])
    found = derived(lake, GeometryCollection([streets]))
    assert len(found.frame) == 4  # the land north and south of the lake, the lake, its island
    assert_tiles(found, AREA)


def test_an_area_of_two_parts_with_a_hole() -> None:
    area = shapely.union(Polygon(AREA.exterior, [box(100, 100, 300, 300).exterior]), box(2000, 0, 2500, 500))
    found = derived(LineString([(-100, 400), (3000, 400)]), area=area)
    assert len(found.frame) == 4
    assert not found.frame.intersects(box(120, 120, 280, 280)).any()
    assert not found.warnings
    whole = derived(LineString([(100, 500), (300, 600)]), area=area)
    assert [w.code for w in whole.warnings] == ["no-blocks"]
    assert len(whole.frame) == 2


def test_streets_that_cross_too_often_are_refused() -> None:
    lines = [LineString([(0, 8 * k / 50), (1000, 8 * k / 50 + 1)]) for k in range(5000)]
    lines += [LineString([(k / 5, 0), (k / 5 + 1, 800)]) for k in range(5000)]
    with pytest.raises(BadVector, match="crossings"):
        derived(*lines)


def test_what_borders_a_block() -> None:
    frame = pd.DataFrame({
        "highway": ["residential", "footway", None, "service", None, "pedestrian", None, "primary", "proposed"],
        "railway": [None, None, "rail", "rail", "tram", None, None, None, None],
        "waterway": [None, None, None, None, None, None, "ditch", None, None],
        "tunnel": [None, None, None, None, None, "building_passage", None, "yes", None],
    })  # fmt: skip
    assert enclosing(frame).tolist() == [True, False, True, True, False, True, False, False, False]
    assert enclosing(pd.DataFrame({"name": ["a", "b"]})).all()
    assert enclosing(pd.DataFrame({"highway": [None, np.nan, "", "steps"]})).tolist() == [True, True, True, False]


point = st.tuples(st.integers(-2, 12), st.integers(-2, 10))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(point, min_size=2, max_size=6), min_size=1, max_size=8))
def test_blocks_tile_the_area_whatever_is_drawn(drawn: list[list[tuple[int, int]]]) -> None:
    lines = [LineString([(x * 97.0, y * 89.0) for x, y in points]) for points in drawn]
    found = derived(*lines)
    shapes = found.frame.geometry.to_numpy()
    assert shapely.is_valid(shapes).all()
    assert shapely.area(shapes).sum() == pytest.approx(AREA.area, rel=1e-3)
    left, right = shapely.STRtree(shapes).query(shapes)
    common = shapely.area(shapely.intersection(shapes[left[left < right]], shapes[right[left < right]]))
    assert common.max(initial=0) < 1


def test_the_procedural_citys_streets_give_its_blocks_back() -> None:
    city = generate(3, (200, 240))
    area = shapely.union_all(city.blocks.geometry.to_numpy())
    found = derive_blocks(borders_of(city.streets.geometry.to_numpy()), area, str(city.blocks.crs))
    built = city.blocks[city.blocks["lcz"] <= 10]  # fields, forests and the river have no streets between them
    assert len(built) > 200
    assert agreement(found.frame.geometry.to_numpy(), built.geometry.to_numpy()) > 0.97


def agreement(found: np.ndarray, truth: np.ndarray) -> float:
    """The share of the true blocks' area that lies in the derived block which matches each best (by their union)."""
    left, right = shapely.STRtree(found).query(truth)
    common = shapely.area(shapely.intersection(truth[left], found[right]))
    overlap = common / (shapely.area(truth[left]) + shapely.area(found[right]) - common)
    best = np.zeros(len(truth))
    np.maximum.at(best, left, overlap)
    return float((best * shapely.area(truth)).sum() / shapely.area(truth).sum())


@pytest.mark.real_data
def test_gdansk_is_cut_into_blocks(shared_data: Path) -> None:
    path = shared_data / "so2sat_pop_gdansk" / "gdansk_osm_full.gpkg.zip"
    lines = pyogrio.read_dataframe(path, layer="lines")
    counts = enclosing(lines)
    assert 9_000 < counts.sum() < 12_000 < len(lines)
    area = box(338_083, 6_012_000, 355_673, 6_038_000)
    found = derive_blocks(borders_of(lines.geometry.to_numpy()[counts]), area, "EPSG:32634")
    assert_tiles(found, area)
    size = found.frame.area.to_numpy()
    assert 1_500 < len(size) < 3_000
    assert 1 < np.median(size) / 1e4 < 3  # hectares
    assert (size >= blocks.LEAST_AREA).all()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "least"), [("redon_osm_rsu_lcz.geojson", 0.96), ("redon_bdtopo_rsu_lcz.geojson", 0.91)]
)
def test_the_borders_of_redons_blocks_give_its_blocks_back(shared_data: Path, name: str, least: float) -> None:
    # The data set holds no lines, but the blocks they made; what is missing are faces too small to be blocks here.
    truth = gpd.read_file(shared_data / "lcz_blocks_redon" / name)
    shapes = shapely.make_valid(truth.geometry.to_numpy())
    area = shapely.union_all(shapes, grid_size=0.1)
    found = derive_blocks(borders_of(shapely.boundary(shapes)), area, str(truth.crs))
    assert agreement(found.frame.geometry.to_numpy(), shapes) > least
