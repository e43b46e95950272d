"""Cleaning keeps every parcel and says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box

from jobs.shapes import polygons_of
from worker.parcels.vectors.cleaning import clean_parcels, overlap_shares


def frame_of(*geometries: object) -> gpd.GeoDataFrame:
    ids = [f"p{k}" for k in range(len(geometries))]
    return gpd.GeoDataFrame({"parcel_id": ids}, geometry=list(geometries), crs="EPSG:32633")


def test_a_bow_tie_becomes_two_triangles_and_is_told() -> None:
    cleaned = clean_parcels(frame_of(Polygon([(0, 0), (100, 100), (100, 0), (0, 100)])), box(-1, -1, 101, 101))
    assert isinstance(cleaned.frame.geometry[0], MultiPolygon)
    assert cleaned.frame["area_m2"][0] == pytest.approx(5000)
    assert [w.code for w in cleaned.warnings] == ["parcels-repaired"]


def test_lines_points_and_heights_are_dropped_from_a_geometry_not_the_parcel() -> None:
    mixed = GeometryCollection([Point(0, 0), LineString([(0, 0), (5, 5)]), box(0, 0, 10, 20)])
    raised = shapely.force_3d(box(50, 50, 60, 60), 12.0)
    cleaned = clean_parcels(frame_of(mixed, raised, LineString([(0, 0), (1, 1)])), box(-1, -1, 100, 100))
    assert cleaned.frame["area_m2"].tolist() == [200, 100, 0]
    assert not shapely.has_z(cleaned.frame.geometry.to_numpy()).any()
    assert cleaned.frame["sliver"].tolist() == [False, False, True]
    assert cleaned.frame["parcel_id"].tolist() == ["p0", "p1", "p2"]


def test_shape_measures() -> None:
    frame = frame_of(box(0, 0, 100, 100), shapely.affinity.rotate(box(0, 0, 400, 50), 33), box(0, 0, 50, 0.1))
    cleaned = clean_parcels(frame, box(-500, -500, 500, 500)).frame
    np.testing.assert_allclose(cleaned["elongation"], [1, 8, 500], rtol=1e-6)
    np.testing.assert_allclose(cleaned["mean_width"], [50, 2 * 20000 / 900, 10 / 100.2], rtol=1e-6)
    assert cleaned["sliver"].tolist() == [False, False, True]


def test_overlaps_are_shares_of_the_parcels_own_area() -> None:
    frame = frame_of(box(0, 0, 100, 100), box(50, 0, 150, 100), box(150, 0, 250, 100), box(0, 0, 100, 100))
    cleaned = clean_parcels(frame, box(0, 0, 250, 100))
    np.testing.assert_allclose(cleaned.frame["overlap_share"], [1, 1, 0, 1])
    warned = {w.code: w.detail for w in cleaned.warnings}
    assert warned["parcels-overlap"].startswith("3 parcels")


def test_parcels_over_the_edge_are_told_not_cut() -> None:
    cleaned = clean_parcels(frame_of(box(0, 0, 100, 100), box(10, 10, 20, 20)), box(0, 0, 50, 100))
    assert cleaned.frame["area_m2"].tolist() == [10_000, 100]
    assert [w.code for w in cleaned.warnings if "cross" in w.code] == ["parcels-cross-area"]


def test_many_copies_of_one_parcel_are_all_overlapped() -> None:
    same = np.full(600, box(0, 0, 10, 10))
    shares = overlap_shares(same, shapely.area(same))
    assert (shares[:-1] == 1).all()


ring = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(ring, min_size=1, max_size=5))
def test_anything_drawn_comes_out_valid_flat_and_counted(rings: list[list[tuple[int, int]]]) -> None:
    polygons = polygons_of(np.array([Polygon(r) for r in rings], dtype=object))
    assert len(polygons) == len(rings)
    assert shapely.is_valid(polygons).all()
    assert {type(p) for p in polygons} <= {Polygon, MultiPolygon}


@pytest.mark.real_data
def test_prague_plots_keep_their_number_ids_and_order(shared_data: Path) -> None:
    path = shared_data / "prague_bubenec_plots" / "bubenec.gpkg"
    plots = gpd.read_file(path, layer="plots").to_crs("EPSG:32633")
    frame = plots.assign(parcel_id=[str(k) for k in range(len(plots))])[["parcel_id", "geometry"]]
    first, second = (clean_parcels(frame, box(*plots.total_bounds)) for _ in range(2))
    assert len(first.frame) == 407
    assert first.frame["parcel_id"].tolist() == frame["parcel_id"].tolist()
    assert first.frame.geometry.to_wkb().tolist() == second.frame.geometry.to_wkb().tolist()
    assert first.frame["area_m2"].sum() == pytest.approx(plots.area.sum(), rel=1e-6)
    assert (first.frame["elongation"] >= 1 - 1e-9).all()
