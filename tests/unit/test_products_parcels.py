"""The parcel table as GeoParquet and as a styled GeoPackage."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
from shapely.geometry import LineString, Polygon, box

from models.cards import UnitThresholds
from models.classes import LAND_COVER, LOCAL_CLIMATE_ZONES, SHARES
from worker.parcels.units import Verdicts, judge_parcels
from worker.parcels.vectors.cleaning import clean_parcels
from worker.parcels.zonal import Sums
from worker.products.parcels import parcel_table, write_geopackage, write_geoparquet

CREATED = datetime(2026, 7, 3, 9, 30, tzinfo=UTC)


@pytest.fixture
def table() -> gpd.GeoDataFrame:
    shapes = [box(0, 0, 200, 200), box(300, 0, 500, 200), LineString([(0, 0), (1, 1)]), box(600, 0, 690, 90)]
    raw = gpd.GeoDataFrame({"parcel_id": list("abcd")}, geometry=shapes, crs="EPSG:32634")
    parcels = clean_parcels(raw, box(0, 0, 1000, 1000)).frame
    cells = parcels["area_m2"].to_numpy() / 100
    probability = np.zeros((4, 17))
    probability[0, [10, 1]] = cells[0] * 0.75, cells[0] * 0.25
    probability[1, 3] = cells[1] * 0.2
    probability[3, 16] = cells[3]
    sums = Sums(cells, cells * [1, 0.2, 1, 1], probability)
    verdicts = judge_parcels(
        parcels, sums, cell_area=100.0, thresholds=UnitThresholds(), classes=LOCAL_CLIMATE_ZONES, mode="auto"
    )
    return parcel_table(parcels, verdicts, LOCAL_CLIMATE_ZONES)


def test_columns_and_values(table: gpd.GeoDataFrame) -> None:
    names = ["parcel_id", "class_code", "class_label", "class_name", "second_code", "purity", "entropy",
             "valid_fraction", "pixels", "area_m2", "overlap_share", "decided_by", "reason"]  # fmt: skip
    assert list(table.columns) == [*names, *(f"p_{k}" for k in range(1, 18)), "geometry"]
    first = table.iloc[0]
    assert (first["class_code"], first["class_label"], first["class_name"]) == (11, "A", "Dense trees")
    assert (first["second_code"], first["decided_by"], first.isna()["reason"]) == (2, "parcel", True)
    assert (first["purity"], first["pixels"], first["p_11"]) == (0.75, 400, 0.75)
    assert table["decided_by"].tolist() == ["parcel", "abstain", "scene", "scene"]
    assert table["reason"].tolist()[1:] == ["too little imagery", "sliver", "under 1 ha"]
    assert table["class_code"].isna().tolist() == [False, True, True, False]
    assert table["class_name"].fillna("").tolist()[1:] == ["", "", "Water"]


def test_geoparquet_holds_the_table_its_crs_and_a_bbox_column(table: gpd.GeoDataFrame, tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        write_geoparquet(tmp_path / name, table)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    back = gpd.read_parquet(tmp_path / "a.parquet")
    assert back.crs.to_epsg() == 32634
    assert back["parcel_id"].tolist() == list("abcd")
    assert back.geometry.geom_equals(table.geometry).all()
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert str(schema.field("p_3").type) == "float"
    assert str(schema.field("class_code").type) == "int16"
    geo = json.loads(schema.metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert "bbox" in geo["columns"]["geometry"]["covering"]


def test_geopackage_opens_coloured_and_never_changes(table: gpd.GeoDataFrame, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.gpkg", "b.gpkg")]
    for path in paths:
        write_geopackage(path, table, LOCAL_CLIMATE_ZONES, title="Parcels", created=CREATED)
    write_geopackage(paths[0], table, LOCAL_CLIMATE_ZONES, title="Parcels", created=CREATED)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    back = gpd.read_file(paths[0], layer="parcels")
    assert len(back) == 4
    assert back.crs.to_epsg() == 32634
    assert back["area_m2"].tolist() == table["area_m2"].tolist()
    with closing(sqlite3.connect(paths[0])) as database:
        style = database.execute(
            "SELECT f_table_name, useAsDefault, styleQML, update_time FROM layer_styles"
        ).fetchall()
        dates = database.execute("SELECT DISTINCT last_change FROM gpkg_contents").fetchall()
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(style) == 1
    assert style[0][:2] == ("parcels", 1)
    assert "categorizedSymbol" in style[0][2]
    assert dates == [("2026-07-03T09:30:00.000Z",)]
    assert style[0][3] == dates[0][0]


def test_an_empty_parcel_survives_both_files(table: gpd.GeoDataFrame, tmp_path: Path) -> None:
    assert table.geometry.iloc[2] == Polygon()
    write_geoparquet(tmp_path / "a.parquet", table)
    assert gpd.read_parquet(tmp_path / "a.parquet").geometry.iloc[2].is_empty


def test_land_cover_adds_sealed_green_and_building_shares() -> None:
    parcels = gpd.GeoDataFrame(
        {"parcel_id": ["a", "b"], "area_m2": [100.0, 100.0], "overlap_share": [0.0, 0.0]},
        geometry=[box(0, 0, 10, 10), box(10, 0, 20, 10)], crs="EPSG:32633",
    )  # fmt: skip
    mean = np.array([[0.05, 0.1, 0.1, 0.2, 0.1, 0.05, 0.1, 0.25, 0.05], [0.0] * 9])
    no, seen = np.zeros(2, np.uint8), np.array([1.0, 0.0])
    verdicts = Verdicts(
        mean, np.array([8, 0], np.uint8), no, mean.max(axis=1), seen, seen, seen, no, np.array(["", ""])
    )
    table = parcel_table(parcels, verdicts, LAND_COVER, SHARES["land-cover"])
    assert table[[f"p_{code}" for code in range(1, 10)]].sum(axis=1).tolist() == pytest.approx([1, 0])
    shares = table[["sealed_share", "green_share", "building_share"]]
    assert shares.iloc[0].tolist() == pytest.approx([0.55, 0.3, 0.25])
    assert shares.iloc[1].isna().all()
