"""Parcels and buildings from uploads and inline features."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import LineString, Polygon, box

from jobs.errors import BadVector, ParcelsOutsideArea, UnknownUpload
from jobs.request import Buildings
from tests.unit.parcel_desk import AREA, GRID, Desk, feature, frame_of, square
from worker.parcels.vectors import sources
from worker.parcels.vectors.buildings import building_chunks


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


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


@pytest.mark.real_data
def test_prague_plots_all_arrive(desk: Desk, shared_data: Path) -> None:
    plots = gpd.read_file(shared_data / "prague_bubenec_plots" / "bubenec.gpkg", layer="plots")
    area = box(*plots.to_crs(GRID.crs).total_bounds)
    loaded = desk.parcels(area=area, upload=desk.add(plots, ".gpkg"))
    assert len(loaded.frame) == 407
    assert loaded.frame["parcel_id"].tolist() == [str(k) for k in range(1, 408)]
    assert not loaded.warnings
