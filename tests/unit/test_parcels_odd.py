"""Parcels and buildings with swapped axes, odd geometry, huge outlines, other reference systems."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pyproj import Transformer
from shapely.geometry import GeometryCollection, LineString, MultiPoint, MultiPolygon, Point, Polygon, box, mapping
from shapely.ops import transform

from tests.unit.parcel_desk import AREA, GRID, Desk, feature, frame_of, square, swapped
from worker.parcels.vectors.cleaning import clean_parcels


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3035", "EPSG:32633"])
def test_swapped_axes_are_seen_used_and_told(desk: Desk, crs: str) -> None:
    frame = frame_of(square(0, 0), square(3, 4), height=[3.0, 4.0]).to_crs(crs)
    right, wrong = desk.add(frame, ".gpkg"), desk.add(swapped(frame), ".gpkg")
    for wanted, what in ((desk.parcels, "parcels"), (desk.buildings, "buildings")):
        good, turned = wanted(upload=right), wanted(upload=wrong)
        assert turned.frame.geometry.geom_equals_exact(good.frame.geometry, 0.01).all()
        assert [w.code for w in turned.warnings] == [f"{what}-axes-swapped"]
        assert "swapped" in turned.warnings[0].detail
        assert not good.warnings


def test_swapped_axes_of_inline_features(desk: Desk) -> None:
    turned = feature(square(1, 1))
    turned["geometry"]["coordinates"] = [[[y, x] for x, y in ring] for ring in turned["geometry"]["coordinates"]]
    loaded = desk.parcels(features=[turned])
    assert [w.code for w in loaded.warnings] == ["parcels-axes-swapped"]
    assert loaded.frame.geometry[0].intersects(square(1, 1).centroid)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:2180", "ESRI:54009"])
def test_other_reference_systems(desk: Desk, crs: str) -> None:
    loaded = desk.parcels(upload=desk.add(frame_of(square(2, 2), square(5, 5)).to_crs(crs), ".parquet"))
    apart = shapely.symmetric_difference(loaded.frame.geometry.to_numpy(), [square(2, 2), square(5, 5)])
    assert shapely.area(apart).max() < 1


def test_mixed_odd_and_empty_geometries(desk: Desk) -> None:
    shapes = [
        square(0, 0), Point(500_050, 5_500_950), LineString([(500_000, 5_500_950), (500_400, 5_500_950)]),
        MultiPolygon([square(1, 1), square(3, 3)]), GeometryCollection([square(5, 5), Point(500_000, 5_500_000)]),
        shapely.force_3d(square(7, 7), 5.0), Polygon(), None, MultiPoint([(500_000, 5_500_950)]),
        Polygon([(500_000, 5_500_500), (500_100, np.nan), (500_100, 5_500_600), (500_000, 5_500_500)]),
        GeometryCollection([Point(500_500, 5_500_500)]),
    ]  # fmt: skip
    loaded = desk.parcels(upload=desk.add(frame_of(*shapes), ".parquet"))
    assert loaded.frame["parcel_id"].tolist() == ["1", "4", "5", "6"]
    told = {w.code: w.detail for w in loaded.warnings}
    assert told["unusable-parcels"].startswith("6 of 11")
    cleaned = clean_parcels(loaded.frame, AREA).frame
    assert cleaned["area_m2"].tolist() == [10_000, 20_000, 10_000, 10_000]


def test_a_parcel_larger_than_the_area_and_one_over_many_zones(desk: Desk) -> None:
    world = box(-179, -89, 179, 89)
    country = box(5, 45, 25, 55)
    around = box(14.9, 49.5, 15.2, 49.8)
    frame = gpd.GeoDataFrame(geometry=[world, country, around], crs="EPSG:4326")
    loaded = desk.parcels(upload=desk.add(frame, ".gpkg"))
    assert len(loaded.frame) == 3
    assert loaded.frame.geometry.covers(AREA).all()
    assert loaded.frame.is_valid.all()
    assert {w.code: w.detail[:1] for w in loaded.warnings} == {"parcels-cut": "2"}
    cleaned = clean_parcels(loaded.frame, AREA)
    assert {w.code for w in cleaned.warnings} == {"parcels-cross-area", "parcels-overlap"}


def test_the_long_edges_of_a_wide_parcel_bend_as_they_should(desk: Desk) -> None:
    middle = transform(Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True).transform, AREA.centroid)
    wide = box(middle.x - 1.5, middle.y, middle.x + 1.5, middle.y + 1)  # its lower edge is a parallel
    loaded = desk.parcels(features=[feature(wide) | {"geometry": mapping(wide)}])
    share = loaded.frame.geometry[0].intersection(AREA).area / AREA.area
    assert share == pytest.approx(0.5, abs=0.01)  # straight in UTM, the edge would lie 800 m to the north


def jagged(corners: int) -> Polygon:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = 400 + 50 * np.sin(7 * angle) + np.random.default_rng(1).normal(0, 0.0005, corners)
    return Polygon(np.stack([500_500 + radius * np.cos(angle), 5_500_500 + radius * np.sin(angle)], axis=1))


def test_a_million_corners_take_seconds(desk: Desk) -> None:
    shapes = [jagged(1_000_000), *(square(k % 10, k // 10, 99) for k in range(100))]
    started = time.monotonic()
    loaded = desk.parcels(upload=desk.add(frame_of(*shapes), ".parquet"))
    cleaned = clean_parcels(loaded.frame, AREA).frame
    assert time.monotonic() - started < 20
    assert cleaned["area_m2"][0] == pytest.approx(shapely.area(shapely.make_valid(shapes[0])))
    truth = shapely.area(shapely.intersection(shapely.make_valid(shapes[0]), shapely.union_all(shapes[1:])))
    assert cleaned["overlap_share"][0] == pytest.approx(truth / cleaned["area_m2"][0], rel=1e-6)


def test_a_tangle_is_left_out_before_anything_is_computed_with_it(desk: Desk) -> None:
    angle = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    radius = np.where(np.arange(100_000) % 2, 400, 20)
    star = Polygon(np.stack([500_500 + radius * np.cos(angle), 5_500_500 + radius * np.sin(angle)], axis=1))
    loaded = desk.parcels(upload=desk.add(frame_of(star, square(1, 1)), ".parquet"))
    assert loaded.frame["parcel_id"].tolist() == ["2"]
    assert "tangled" in loaded.warnings[0].detail


def test_arcs_of_a_geopackage_become_straight_edges(desk: Desk) -> None:
    path = desk.folder / "arcs.gpkg"
    frame_of(square(0, 0), square(1, 1)).to_file(path, layer="x", SPATIAL_INDEX="NO")
    corners = [(500_400, 5_500_500), (500_500, 5_500_600), (500_600, 5_500_500), (500_500, 5_500_400)]
    arc = struct.pack("<BII", 1, 8, 5) + b"".join(struct.pack("<2d", *p) for p in [*corners, corners[0]])
    blob = b"GP\0\x01" + struct.pack("<i", 32633) + struct.pack("<BII", 1, 10, 1) + arc
    with contextlib.closing(sqlite3.connect(path)) as database:
        for (name,) in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            database.execute(f'drop trigger "{name}"')
        database.execute("update x set geom = ? where fid = 2", (blob,))
        database.commit()
    loaded = desk.parcels(upload=desk.send(path))
    assert loaded.frame.area.tolist() == pytest.approx([10_000, np.pi * 10_000], rel=1e-3)
