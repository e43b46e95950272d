"""Vector files as areas of interest: put together, placed, mended, simplified, or refused in time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely.geometry import Point, Polygon, box

from jobs.area import parse_area
from jobs.errors import AntimeridianArea, BadVector, InvalidArea
from jobs.outlines import Outline, read_outline

UTM = "EPSG:32633"
EAST, NORTH = 390_000, 5_820_000


def outline(folder: Path, shapes: Any, crs: str | None = UTM, *, suffix: str = ".gpkg", most: int = 10_000) -> Outline:
    frame = gpd.GeoDataFrame(geometry=list(shapes), crs=crs)
    path = folder / f"area{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path, driver="GPKG" if suffix == ".gpkg" else "GeoJSON")
    found = read_outline(path, None, max_vertices=most)
    assert shapely.get_num_coordinates(found.area.geometry) <= most
    again = parse_area(json.loads(json.dumps(found.area.geojson)), pointer="/inputs/aoi", max_vertices=most)
    assert again == found.area  # what is told is taken as it is
    return found


def squares(many: int, *, side: float, step: float) -> np.ndarray[Any, Any]:
    x, y = (v.ravel() for v in np.meshgrid(EAST + step * np.arange(many), NORTH + step * np.arange(many)))
    boxes: np.ndarray[Any, Any] = shapely.box(x, y, x + side, y + side)
    return boxes


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
def test_parcels_become_the_one_area_they_cover(tmp_path: Path, suffix: str) -> None:
    found = outline(tmp_path, squares(20, side=100, step=100), suffix=suffix)
    assert found.area.geometry.geom_type == "Polygon"
    assert found.area.km2 == pytest.approx(4.0, rel=2e-3)
    assert (found.features, found.polygons, found.simplified, found.swapped) == (400, 400, None, False)
    assert found.area.geometry.bounds == pytest.approx((13.378, 52.519, 13.408, 52.537), abs=2e-3)


def test_holes_and_parts_of_degrees_stay_as_they_are(tmp_path: Path) -> None:
    ring = box(13, 52, 13.2, 52.2).difference(box(13.05, 52.05, 13.1, 52.1))
    found = outline(tmp_path, [ring, box(13.4, 52, 13.5, 52.1)], "EPSG:4326", suffix=".geojson")
    assert found.area.geometry.equals(shapely.union_all([ring, box(13.4, 52, 13.5, 52.1)]))
    assert shapely.get_num_coordinates(found.area.geometry) == 15


def test_what_is_no_polygon_is_left_out_and_bow_ties_are_mended(tmp_path: Path) -> None:
    bow = Polygon([(13, 52), (13.1, 52.1), (13.1, 52), (13, 52.1)])
    found = outline(tmp_path, [bow, Point(0, 0), None, Polygon()], "EPSG:4326", suffix=".geojson")
    assert (found.features, found.polygons) == (4, 1)
    assert found.area.geometry.area == pytest.approx(0.005)


def test_heights_vanish_and_long_edges_of_a_projection_bend(tmp_path: Path) -> None:
    flat = box(EAST, NORTH, EAST + 50_000, NORTH + 50_000)
    found = outline(tmp_path, [shapely.force_3d(flat, 30)])
    assert not found.area.geometry.has_z
    assert found.area.km2 == pytest.approx(2500, rel=2e-3)
    assert shapely.get_num_coordinates(found.area.geometry) > 200


def test_a_layer_with_y_before_x_lies_where_it_belongs(tmp_path: Path) -> None:
    found = outline(tmp_path, [box(35.6, 139.7, 35.7, 139.8)], "EPSG:4326")
    assert found.swapped
    assert found.area.geometry.bounds == pytest.approx((139.7, 35.6, 139.8, 35.7))


def test_a_fine_outline_is_simplified_as_little_as_it_takes(tmp_path: Path) -> None:
    angle = np.linspace(0, 2 * np.pi, 30_000, endpoint=False)
    radius = 5000 + 300 * np.sin(40 * angle)
    fine = Polygon(np.stack([EAST + radius * np.cos(angle), NORTH + radius * np.sin(angle)], axis=1))
    found = outline(tmp_path, [fine], most=1000)
    assert found.simplified == 2.0
    drawn = gpd.GeoSeries([found.area.geometry], crs=4326).to_crs(UTM).iloc[0]
    assert drawn.symmetric_difference(fine).area / fine.area < 2e-3
    assert drawn.hausdorff_distance(fine) < 3


def test_gaps_between_parcels_vanish_with_too_many_vertices(tmp_path: Path) -> None:
    gaps = shapely.box(EAST + 10 * np.arange(1, 90), NORTH + 10, EAST + 10 * np.arange(1, 90) + 0.02, NORTH + 900)
    city = box(EAST, NORTH, EAST + 1000, NORTH + 1000).difference(shapely.union_all(gaps))
    found = outline(tmp_path, [city], most=100)
    assert found.simplified == 0.5
    assert len(shapely.get_rings(found.area.geometry)) == 1
    assert found.area.km2 == pytest.approx(1.0, rel=3e-3)


def test_houses_are_no_area_of_interest(tmp_path: Path) -> None:
    with pytest.raises(InvalidArea, match=r"1600 parts.*dissolve") as caught:
        outline(tmp_path, squares(40, side=12, step=100), most=1000)
    assert caught.value.faults[0].pointer == "upload"


@pytest.mark.parametrize("drawn", ["lattice", "diagonals", "star"])
def test_a_tangle_is_refused_before_it_takes_time(tmp_path: Path, drawn: str) -> None:
    k = np.arange(3000) / 3000
    shapes = {
        "lattice": [*shapely.box(0, k, 1, k + 1e-4), *shapely.box(k, 0, k + 1e-4, 1)],
        "diagonals": [Polygon([(t, 0), (t + 1, 1), (t + 1, 1 + 1e-6), (t, 1e-6)]) for t in k / 100],
        "star": [Polygon(np.random.default_rng(1).random((5000, 2)))],
    }[drawn]
    began = time.monotonic()
    with pytest.raises(BadVector, match="over each other so often"):
        outline(tmp_path, shapes, "EPSG:4326")
    assert time.monotonic() - began < 10


def test_what_makes_no_area_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadVector, match="holds no polygon"):
        outline(tmp_path, [Point(13, 52)], "EPSG:4326")
    with pytest.raises(BadVector, match="20000 features"):
        outline(tmp_path, squares(142, side=1, step=2))
    with pytest.raises(AntimeridianArea):
        outline(tmp_path, [box(-179.9, 10, -179.8, 11), box(179.8, 10, 179.9, 11)], "EPSG:4326")
