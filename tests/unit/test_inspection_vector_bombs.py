"""Vector files that would compute without end, fill the memory or name other files."""

from __future__ import annotations

import json
import resource
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from pyproj import CRS

from jobs.errors import BadVector, MissingCrs
from jobs.inspection import inspect_file
from jobs.inspection.vector import read_vector
from tests.unit.vector_samples import SETTINGS, collection, frame, put


def test_geopackage_whose_register_is_a_view_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    frame().to_file(path, driver="GPKG", layer="plots")
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE gpkg_contents RENAME TO hidden")
        database.execute("CREATE VIEW gpkg_contents AS SELECT * FROM hidden")
    with pytest.raises(BadVector, match="gpkg_contents is not a plain table"):
        inspect_file(path, "a.gpkg", SETTINGS)


def test_geopackage_whose_side_tables_compute_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    frame().to_file(path, driver="GPKG", layer="plots")
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE gpkg_extensions")
        database.execute(f"CREATE VIEW gpkg_extensions AS {endless}")
    with pytest.raises(BadVector, match="gpkg_extensions is not a plain table"):
        inspect_file(path, "a.gpkg", SETTINGS)


def test_geopackage_whose_columns_are_computed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    frame().to_file(path, driver="GPKG", layer="plots")
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE plots ADD COLUMN bomb BLOB AS (zeroblob(900000000)) VIRTUAL")
    with pytest.raises(BadVector, match="computed columns"):
        inspect_file(path, "a.gpkg", SETTINGS)


def test_geopackage_whose_geometry_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    frame().to_file(path, driver="GPKG", layer="plots", SPATIAL_INDEX="NO")
    with sqlite3.connect(path) as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        database.execute("UPDATE plots SET geom = zeroblob(70000000) WHERE fid = 1")
    with pytest.raises(BadVector, match="70000000 bytes"):
        inspect_file(path, "a.gpkg", SETTINGS)


@pytest.mark.parametrize(
    "crs",
    [
        "+proj=longlat +ellps=bessel +nadgrids=/etc/passwd +type=crs",
        "+init=/etc/passwd:root",
        CRS.from_user_input("+proj=longlat +ellps=bessel +nadgrids=/etc/passwd +type=crs").to_json_dict(),
        CRS.from_user_input("+proj=utm +zone=33 +geoidgrids=/etc/passwd +type=crs").to_wkt(),
    ],
)
def test_a_crs_that_names_a_file_is_refused(tmp_path: Path, crs: Any) -> None:
    path = tmp_path / "a.parquet"
    frame().to_parquet(path)
    table = pq.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    geo["columns"]["geometry"]["crs"] = crs
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path)
    with pytest.raises(MissingCrs):
        inspect_file(path, "a.parquet", SETTINGS)


def test_a_geometry_stored_once_and_named_often_does_not_fill_the_memory(tmp_path: Path) -> None:
    wkb = shapely.to_wkb(shapely.Point(13, 52).buffer(0.1, quad_segs=20_000))
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 50_000 + [None], pa.int32()), pa.array([wkb], pa.binary()))
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"geometry": rows}).replace_schema_metadata({"geo": json.dumps(geo)}), path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = inspect_file(path, "a.parquet", SETTINGS).facts
    assert (facts["features"], facts["without_geometry"]) == (50_001, 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kB; unpacked it is 32 GB"


@pytest.mark.parametrize(
    "value", ['"x":[' + "[]," * 400_000 + "[]]", '"features":[{"type":"Feature","x":[' + "[]," * 400_000 + "[]]}]"]
)
def test_geojson_whose_values_would_fill_the_memory_is_refused(
    tmp_path: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.inspection.geojson._WINDOWS", (4096, 2**20))
    path = tmp_path / "a.geojson"
    path.write_text('{"type":"FeatureCollection",' + value + "}")
    with pytest.raises(BadVector, match="more than 1 MiB"):
        inspect_file(path, "a.geojson", SETTINGS)


def test_geojson_values_of_every_length_are_read_whole(tmp_path: Path) -> None:
    made = collection(count=10**4200)
    made["features"][0]["properties"] = {"note": "é" * 5000, "more": "x" * 300_000}
    made["features"].append(made["features"][0])
    seen = inspect_file(put(tmp_path / "a.geojson", made), "a.geojson", SETTINGS)
    assert seen.facts["features"] == 2
    rows = read_vector(tmp_path / "a.geojson")
    assert rows["note"].tolist() == ["é" * 5000] * 2
    assert rows["more"].str.len().tolist() == [300_000] * 2
