"""Parcels and buildings from uploads and inline features, through the real upload store and inspection."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import struct
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from pydantic import SecretStr, ValidationError
from pyproj import Transformer
from shapely.geometry import GeometryCollection, LineString, MultiPoint, MultiPolygon, Point, Polygon, box, mapping
from shapely.ops import transform

from jobs.area import Grid
from jobs.errors import BadVector, InvalidRequest, ParcelsOutsideArea, UnknownUpload
from jobs.inspection import inspect_file
from jobs.request import Buildings, Parcels, parse_execute
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.uploads import UploadStore
from worker.parcels.vectors import sources
from worker.parcels.vectors.buildings import building_chunks
from worker.parcels.vectors.cleaning import clean_parcels
from worker.parcels.vectors.sources import Loaded, load_buildings, load_parcels

GRID = Grid("EPSG:32633", 500_000.0, 5_501_000.0, 10.0, 100, 100)
AREA = box(*GRID.bounds)


class Desk:
    """An upload store in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(storage_url=f"file://{folder}/store", link_secret=SecretStr("s"))
        self.uploads = UploadStore(Storage(self.settings))

    def add(self, frame: gpd.GeoDataFrame, suffix: str) -> str:
        path = self.folder / f"sent{suffix}"
        path.unlink(missing_ok=True)
        if suffix == ".parquet":
            frame.to_parquet(path)
        else:
            frame.to_file(path)
        return self.send(path)

    def send(self, path: Path) -> str:
        found = inspect_file(path, path.name, self.settings)
        record = self.uploads.add(path, filename=path.name, kind=found.kind, suffix=found.suffix, facts=found.facts)
        return record.upload

    def parcels(self, grid: Grid = GRID, area: Polygon = AREA, **wanted: Any) -> Loaded:
        return load_parcels(Parcels(**wanted), grid, area, self.uploads, self.settings, self.folder)

    def buildings(self, **wanted: Any) -> Loaded:
        return load_buildings(Buildings(**wanted), GRID, AREA, self.uploads, self.settings, self.folder)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def square(column: float, row: float, side: float = 100.0) -> Polygon:
    left, top = GRID.left + column * 100, GRID.top - row * 100
    return box(left, top - side, left + side, top)


def frame_of(*shapes: Any, **columns: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=list(shapes), crs=GRID.crs)


def feature(shape: Polygon, **properties: Any) -> dict[str, Any]:
    back = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True).transform
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": json.loads(json.dumps(mapping(transform(back, shape)))),
    }


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".parquet"])
def test_every_format_lands_on_the_grid(desk: Desk, suffix: str) -> None:
    frame = frame_of(square(0, 0), square(3, 4), square(20, 20), PLOT=[7, 8, 9], owner=["a", "b", "c"])
    if suffix == ".geojson":
        frame = frame.to_crs("EPSG:4326")
    loaded = desk.parcels(upload=desk.add(frame, suffix), id_field="PLOT")
    assert loaded.frame["parcel_id"].tolist() == ["7", "8"]
    assert list(loaded.frame.columns) == ["parcel_id", "geometry"]
    assert loaded.frame.crs == GRID.crs
    np.testing.assert_allclose(loaded.frame.total_bounds, [500_000, 5_500_500, 500_400, 5_501_000], atol=0.01)
    assert [w.code for w in loaded.warnings] == ["parcels-outside-area"]


def test_without_an_id_field_rows_are_numbered_before_any_is_dropped(desk: Desk) -> None:
    loaded = desk.parcels(features=[feature(square(50, 50)), feature(square(1, 1)), feature(square(2, 2))])
    assert loaded.frame["parcel_id"].tolist() == ["2", "3"]


def test_an_absent_id_field_names_those_there_are(desk: Desk) -> None:
    upload = desk.add(frame_of(square(0, 0), PARCEL=[1], zone=["x"]), ".gpkg")
    with pytest.raises(BadVector, match=re.escape("its fields are PARCEL, zone")) as caught:
        desk.parcels(upload=upload, id_field="PARCEL_ID")
    assert caught.value.faults[0].pointer == "/inputs/parcels/id_field"
    with pytest.raises(BadVector, match="the properties are a, b"):
        desk.parcels(features=[feature(square(0, 0), b=1, a=2)], id_field="c")


def test_ids_become_unique_and_keep_their_order(desk: Desk) -> None:
    values = ["a", "a", "a#2", None, 5, 5.0, "a", "x\ny"]
    features = [feature(square(k, 0), id=value) for k, value in enumerate(values)]
    loaded = desk.parcels(features=features, id_field="id")
    ids = loaded.frame["parcel_id"].tolist()
    assert ids == ["a", "a#3", "a#2", "row-4", "5", "5#2", "a#4", "x y"]
    assert [w.code for w in loaded.warnings] == ["duplicate-parcel-ids"]
    assert ids == desk.parcels(features=features, id_field="id").frame["parcel_id"].tolist()


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".parquet"])
def test_long_numbers_stay_exact_beside_gaps(desk: Desk, suffix: str) -> None:
    numbers = pd.array([2**60 + 1, None, 2**60 + 2], dtype="Int64")
    frame = frame_of(square(0, 0), square(1, 1), square(2, 2), PLOT=numbers).to_crs("EPSG:4326")
    upload = desk.add(frame, suffix)
    assert desk.parcels(upload=upload, id_field="PLOT").frame["parcel_id"].tolist() == [
        "1152921504606846977", "row-2", "1152921504606846978",
    ]  # fmt: skip
    with pytest.raises(BadVector, match="numeric fields are PLOT"):
        desk.buildings(upload=upload)


def test_parcels_elsewhere_are_refused_with_both_extents(desk: Desk) -> None:
    with pytest.raises(ParcelsOutsideArea, match=r"the parcels span 15\.1.*the area 15\.0000, 49\.6"):
        desk.parcels(features=[feature(square(90, 90))])


def test_lines_are_left_out_and_a_file_of_lines_is_refused(desk: Desk) -> None:
    line = LineString([(500_000, 5_500_500), (500_500, 5_500_900)])
    loaded = desk.parcels(upload=desk.add(frame_of(square(0, 0), line), ".parquet"))
    assert len(loaded.frame) == 1
    assert loaded.warnings[0].code == "unusable-parcels"
    with pytest.raises(BadVector, match="no polygon"):
        desk.parcels(upload=desk.add(frame_of(line), ".parquet"))


HOSTILE: list[Any] = [
    {},
    {"type": "Feature"},
    {"type": "Feature", "geometry": None, "properties": None},
    {"type": "Feature", "geometry": {"type": "Point", "coordinates": [15, 49.6]}},
    {"type": "Feature", "geometry": {"type": "Polygon"}},
    {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": "rings"}},
    {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[15, 49], [15, "x"], [16, 49], [15, 49]]]}},
    {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[15, 49], [16, 49]]]}},
    {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[1e9, 49], [2e9, 49], [2e9, 5], [1e9, 49]]]}},
    {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[15, float("nan")]] * 4]}},
    {"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": [[15, 49]]}},
    {"type": "Feature", "geometry": {"type": ["Polygon"], "coordinates": []}},
    {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": {"0": 1}}},
    {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[10**400, 1], [2, 2], [3, 1], [1, 1]]]}},
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_features_are_pointed_at(desk: Desk, value: Any) -> None:
    with pytest.raises(BadVector) as caught:
        desk.parcels(features=[feature(square(0, 0)), value])
    assert caught.value.faults[0].pointer.startswith("/inputs/parcels/features/1")


def test_an_empty_polygon_is_left_out(desk: Desk) -> None:
    empty = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": []}, "properties": {}}
    loaded = desk.parcels(features=[empty, feature(square(0, 0))])
    assert loaded.frame["parcel_id"].tolist() == ["2"]
    assert loaded.warnings[0].code == "unusable-parcels"


def test_a_bow_tie_touches_the_area_and_is_kept_as_drawn(desk: Desk) -> None:
    tie = Polygon([(500_100, 5_500_100), (500_900, 5_500_900), (500_900, 5_500_100), (500_100, 5_500_900)])
    assert len(desk.parcels(features=[feature(tie)]).frame) == 1


def test_heights_are_checked_and_counted(desk: Desk) -> None:
    shapes = [square(k, 0) for k in range(5)] + [square(-4, 0), square(-30, 0)]
    frame = frame_of(*shapes, h=["12.5", "-3", "2000", None, "tall", "8", "9"])
    loaded = desk.buildings(upload=desk.add(frame, ".parquet"), height_field="h")
    np.testing.assert_array_equal(loaded.frame["height"], [12.5, np.nan, np.nan, np.nan, np.nan, 8])
    assert list(loaded.frame.columns) == ["geometry", "height"]
    assert loaded.warnings[0].detail.startswith("3 of 7 heights")


def test_an_absent_height_field_names_the_numeric_ones(desk: Desk) -> None:
    upload = desk.add(frame_of(square(0, 0), floors=[3], name=["x"], H=[9.5]), ".gpkg")
    with pytest.raises(BadVector, match="numeric fields are floors, H") as caught:
        desk.buildings(upload=upload)
    assert caught.value.faults[0].pointer == "/inputs/buildings/height_field"
    with pytest.raises(BadVector, match="is a number"):
        desk.buildings(upload=upload, height_field="name")


def test_no_building_near_is_a_warning(desk: Desk) -> None:
    loaded = desk.buildings(upload=desk.add(frame_of(square(90, 0), height=[3.0]), ".gpkg"))
    assert loaded.frame.empty
    assert [w.code for w in loaded.warnings] == ["no-buildings"]


def test_an_unknown_upload_is_told(desk: Desk) -> None:
    with pytest.raises(UnknownUpload):
        desk.parcels(upload="upl_" + "0" * 26)


def test_features_far_away_are_never_held(desk: Desk) -> None:
    frame = frame_of(*(square(k % 200, k // 200) for k in range(30_000)), PLOT=list(range(30_000)))
    loaded = desk.parcels(upload=desk.add(frame, ".parquet"), id_field="PLOT")
    assert loaded.frame["parcel_id"].tolist() == [str(200 * row + k) for row in range(11) for k in range(11)]
    assert loaded.warnings[0].detail.startswith("29879 of 30000 parcels")


def test_more_parcels_than_can_be_compared_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_PARCELS", 2)
    upload = desk.add(frame_of(square(0, 0), square(1, 1), square(2, 2), square(50, 50)), ".parquet")
    with pytest.raises(BadVector, match="map it in parts") as caught:
        desk.parcels(upload=upload)
    assert caught.value.faults[0].pointer == "/inputs/parcels"


def test_buildings_come_in_chunks_that_say_at_the_end_what_they_were(desk: Desk) -> None:
    frame = frame_of(*(square(k % 100, k // 100, 8) for k in range(45_000)), height=[4.0, -1.0, None] * 15_000)
    chunks = building_chunks(
        Buildings(upload=desk.add(frame, ".gpkg")), GRID, AREA, desk.uploads, desk.settings, desk.folder
    )
    frames = list(chunks)
    assert max(len(frame) for frame in frames) < 20_000
    assert chunks.count == sum(len(frame) for frame in frames) == 16 * 16
    assert chunks.bounds == (500_000, 5_499_492, 501_508, 5_501_000)
    assert [w.detail[:17] for w in chunks.warnings] == ["15000 of 45000 he"]


def swapped(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return frame.set_geometry(frame.geometry.map(lambda shape: transform(lambda x, y: (y, x), shape)))


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


def streets(*lines: Any, **columns: Any) -> gpd.GeoDataFrame:
    return frame_of(*lines, **columns)


CROSS = (
    LineString([(499_000, 5_500_500), (502_000, 5_500_500)]),
    LineString([(500_500, 5_400_000), (500_500, 5_501_500)]),
)
FOOTWAY = LineString([(500_100, 5_499_000), (500_100, 5_502_000)])


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
def test_blocks_are_derived_from_streets(desk: Desk, suffix: str) -> None:
    frame = streets(*CROSS, FOOTWAY, highway=["primary", "residential", "footway"])
    loaded = desk.parcels(derive="streets", streets={"upload": desk.add(frame, suffix)})
    assert loaded.frame["parcel_id"].tolist() == ["block-1", "block-2", "block-3", "block-4"]
    np.testing.assert_allclose(loaded.frame.area, 250_000)
    assert {w.code for w in loaded.warnings} == {"streets-left-out"}
    assert not clean_parcels(loaded.frame, AREA).warnings


def test_streets_of_degrees_with_swapped_axes(desk: Desk) -> None:
    frame = swapped(streets(*CROSS).to_crs("EPSG:4326"))
    loaded = desk.parcels(derive="streets", streets={"upload": desk.add(frame, ".geojson")})
    assert len(loaded.frame) == 4
    assert loaded.warnings[0].code == "streets-axes-swapped"


def test_streets_that_cannot_be_used_are_pointed_at(desk: Desk) -> None:
    points = desk.add(frame_of(Point(500_500, 5_500_500)), ".parquet")
    away = desk.add(streets(LineString([(600_000, 5_500_500), (602_000, 5_500_500)])), ".parquet")
    paths = desk.add(streets(FOOTWAY, highway=["footway"]), ".parquet")
    for upload, error, match in (
        (points, BadVector, "no line"), (away, ParcelsOutsideArea, "no line of the streets touches"),
        (paths, BadVector, "none of the lines"),
    ):  # fmt: skip
        with pytest.raises(error, match=match) as caught:
            desk.parcels(derive="streets", streets={"upload": upload})
        assert caught.value.faults[0].pointer == "/inputs/parcels/streets"


@pytest.mark.parametrize(
    ("wanted", "match"),
    [
        ({}, "exactly one"),
        ({"derive": "streets"}, "need both"),
        ({"streets": {"upload": "upl_" + "0" * 26}}, "exactly one"),
        ({"upload": "upl_" + "0" * 26, "streets": {"upload": "upl_" + "0" * 26}}, "need both"),
        ({"derive": "streets", "streets": {"upload": "upl_" + "0" * 26}, "id_field": "a"}, "numbered"),
        ({"derive": "streets", "streets": {"upload": "upl_" + "0" * 26}, "layer": "a"}, "layer belongs to upload"),
        ({"derive": "streets", "features": [{}], "streets": {"upload": "upl_" + "0" * 26}}, "exactly one"),
    ],
)
def test_requests_for_parcels_that_make_no_sense(wanted: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        Parcels(**wanted)


def test_the_streets_of_a_request_are_among_its_uploads() -> None:
    upload = "upl_" + "0" * 26
    inputs = {
        "imagery": {"uploads": ["upl_" + "1" * 26]},
        "parcels": {"derive": "streets", "streets": {"upload": upload}},
    }
    assert parse_execute({"inputs": inputs}).inputs.uploads["/inputs/parcels/streets/upload"] == upload
    inputs["parcels"]["streets"]["uplaod"] = upload  # type: ignore[index]
    with pytest.raises(InvalidRequest, match="did you mean 'upload'"):
        parse_execute({"inputs": inputs})


@pytest.mark.real_data
def test_prague_plots_all_arrive(desk: Desk, shared_data: Path) -> None:
    plots = gpd.read_file(shared_data / "prague_bubenec_plots" / "bubenec.gpkg", layer="plots")
    area = box(*plots.to_crs(GRID.crs).total_bounds)
    loaded = desk.parcels(area=area, upload=desk.add(plots, ".gpkg"))
    assert len(loaded.frame) == 407
    assert loaded.frame["parcel_id"].tolist() == [str(k) for k in range(1, 408)]
    assert not loaded.warnings
