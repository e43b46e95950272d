"""The area of interest: what is refused and why, what is measured, and which grid it lies on."""

import math

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box, mapping

from jobs.area import area_of, check_limits, parse_area, project, utm_grid
from jobs.errors import AntimeridianArea, AreaOutOfLimits, EmptyArea, InvalidArea
from models.errors import CityzonesError

SQUARE = {"type": "Polygon", "coordinates": [[[15, 50], [15.1, 50], [15.1, 50.1], [15, 50.1], [15, 50]]]}


def parse(value):
    return parse_area(value, pointer="/inputs/aoi", max_vertices=1000)


def test_square_is_measured_on_the_ellipsoid():
    # 0.1 x 0.1 degree at 50.05 N on WGS 84: 7.165 km by 11.124 km.
    assert parse(SQUARE).km2 == pytest.approx(79.7, abs=0.1)


def test_winding_and_z_are_normalised():
    clockwise = {"type": "Polygon", "coordinates": [[[*p, 7.0] for p in reversed(SQUARE["coordinates"][0])]]}
    area = parse(clockwise)
    assert not area.geometry.has_z
    assert area.geometry.exterior.is_ccw


@pytest.mark.parametrize(
    "wrap",
    [
        lambda g: {"type": "Feature", "geometry": g, "properties": {}},
        lambda g: {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": g}]},
        lambda g: {"type": "MultiPolygon", "coordinates": [g["coordinates"]]},
        lambda _: {"bbox": [15, 50, 15.1, 50.1]},
        lambda _: {"bbox": [15, 50, 15.1, 50.1], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
    ],
)
def test_every_shape_of_geojson_means_the_same_area(wrap):
    assert parse(wrap(SQUARE)).geometry.equals(parse(SQUARE).geometry)


def test_self_crossing_says_where():
    bow_tie = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    with pytest.raises(InvalidArea, match=r"Self-intersection\[0\.5 0\.5\]") as caught:
        parse(bow_tie)
    assert caught.value.faults[0].pointer == "/inputs/aoi/coordinates"


@pytest.mark.parametrize(
    "value",
    [
        {"bbox": [179, 10, -179, 11]},
        {"type": "Polygon", "coordinates": [[[179, 0], [-179, 0], [-179, 1], [179, 1], [179, 0]]]},
    ],
)
def test_antimeridian_is_refused_by_name(value):
    with pytest.raises(AntimeridianArea, match="one job for each side"):
        parse(value)


@pytest.mark.parametrize(
    "value",
    [
        {"type": "Polygon", "coordinates": []},
        {"type": "MultiPolygon", "coordinates": []},
        {"type": "FeatureCollection", "features": []},
        {"bbox": [15, 50, 15, 50]},
    ],
)
def test_empty_area_is_refused_by_name(value):
    with pytest.raises(EmptyArea):
        parse(value)


@pytest.mark.parametrize(
    "value",
    [
        {"type": "Point", "coordinates": [1, 2]},
        {
            "type": "Polygon",
            "coordinates": [[[500000, 5500000], [500100, 5500000], [500100, 5500100], [500000, 5500000]]],
        },
        {"type": "Polygon", "coordinates": [[[15, 50], [15.1, 50]]]},
        {"type": "Polygon", "coordinates": "nonsense"},
        {"type": "Polygon", "coordinates": [[["a", 50], [15.1, 50], [15, 51], ["a", 50]]]},
        {"type": "Polygon", "coordinates": [[[10**400, 50], [15.1, 50], [15, 51], [10**400, 50]]]},
        {"type": "Feature"},
        {"type": "FeatureCollection", "features": [3]},
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, math.nan, 4]},
        {**SQUARE, "crs": {"type": "name", "properties": {"name": "EPSG:3857"}}},
        {},
    ],
)
def test_bad_geojson_is_refused_with_a_pointer(value):
    with pytest.raises(InvalidArea) as caught:
        parse(value)
    assert caught.value.faults[0].pointer.startswith("/inputs/aoi")


def test_vertices_are_capped():
    ring = [[15 + math.cos(t / 500) / 10, 50 + math.sin(t / 500) / 10] for t in range(3141)]
    with pytest.raises(InvalidArea, match="more than 1000 vertices"):
        parse({"type": "Polygon", "coordinates": [[*ring, ring[0]]]})


def test_limits_name_the_area_and_the_limits():
    with pytest.raises(AreaOutOfLimits, match=r"79.*accepts 1 to 10 km2"):
        check_limits(parse(SQUARE), min_km2=1, max_km2=10, pointer="/inputs/aoi")


def test_grid_covers_the_area_on_whole_hundreds_of_metres():
    grid = utm_grid(parse(SQUARE), 10.0)
    assert grid.crs == "EPSG:32633"
    assert grid.left % 100 == grid.top % 100 == 0
    assert grid.width % 10 == grid.height % 10 == 0
    assert area_of(grid).geometry.buffer(1e-6).contains(parse(SQUARE).geometry)


def test_southern_hemisphere_gets_southern_zones():
    assert utm_grid(parse({"bbox": [-46.7, -23.6, -46.6, -23.5]}), 10.0).crs == "EPSG:32723"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["type", "x", "geometry"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(kind=st.sampled_from(["Polygon", "MultiPolygon", "Feature", "FeatureCollection"]), value=JSON, other=JSON)
def test_hostile_json_only_ever_raises_our_errors(kind, value, other):
    with pytest.raises(CityzonesError, match=r"area of interest|FeatureCollection"):
        parse({"type": kind, "coordinates": value, "geometry": other, "features": value})


@given(st.floats(-179, 178), st.floats(-80, 80), st.floats(0.001, 0.5), st.floats(0.001, 0.5))
def test_any_small_box_is_covered_by_its_grid(west, south, width, height):
    area = parse(mapping(box(west, south, west + width, south + height)))
    grid = utm_grid(area, 10.0)
    assert area_of(grid).geometry.buffer(1e-5).contains(area.geometry)


@pytest.mark.parametrize("side", [1e9, 1e13, 1e18, 1e300])
def test_outlines_larger_than_the_earth_are_projected_in_bounded_steps(side: float) -> None:
    projected = project(box(0.0, 0.0, side, side), "EPSG:4326", source="EPSG:32633")
    assert shapely.get_num_coordinates(projected) < 110_000
