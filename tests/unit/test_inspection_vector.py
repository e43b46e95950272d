"""Vector files are judged by their content; what is missing or hostile is said in a sentence."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, box

from jobs.errors import BadVector, MissingCrs, UnsupportedFormat, UploadTooLarge
from jobs.inspection import Inspection, inspect_file
from jobs.inspection.vector import read_chunks, read_vector
from jobs.settings import Settings
from models.errors import CityzonesError
from tests.unit.vector_samples import SETTINGS, collection, frame, put


@pytest.mark.parametrize(("name", "driver"), [("a.gpkg", "GPKG"), ("a.geojson", "GeoJSON"), ("a.parquet", "Parquet")])
def test_three_formats_hold_the_same(tmp_path: Path, name: str, driver: str) -> None:
    path = tmp_path / name
    original = frame()
    original.to_parquet(path) if driver == "Parquet" else original.to_file(path, driver=driver)
    renamed = path.rename(tmp_path / "upload.bin")
    seen = inspect_file(renamed, "upload.bin", SETTINGS)
    assert (seen.kind, seen.suffix) == ("vector", Path(name).suffix)
    assert (seen.facts["driver"], seen.facts["crs"], seen.facts["features"]) == (driver, "EPSG:32632", 5)
    assert seen.facts["geometry_types"] == ["Polygon"]
    assert {"name", "floors"} <= set(seen.facts["fields"])
    assert seen.facts["bounds"] == pytest.approx(list(original.total_bounds))
    assert json.loads(json.dumps(seen.facts)) == seen.facts
    read = read_vector(renamed, columns=["floors"])
    assert list(read.columns) == ["floors", "geometry"]
    assert read.crs.to_epsg() == 32632
    assert read.geometry.geom_equals_exact(original.geometry, 1e-6).all()
    with pytest.raises(BadVector, match="name"):
        read_vector(renamed, columns=["height"])


def test_geojson_is_lonlat(tmp_path: Path) -> None:
    seen = inspect_file(put(tmp_path / "a.txt", collection()), "a.txt", SETTINGS)
    assert seen.facts["crs"] == "OGC:CRS84"
    assert seen.facts["lonlat_bounds"] == pytest.approx([11.0, 48.0, 11.1, 48.1])
    assert read_vector(tmp_path / "a.txt")["tags"].tolist() == ['["x"]']


@pytest.mark.parametrize("name", ["urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326", "urn:ogc:def:crs:EPSG::4258"])
def test_legacy_crs_is_honoured(tmp_path: Path, name: str) -> None:
    path = put(tmp_path / "a.json", collection(crs={"type": "name", "properties": {"name": name}}))
    assert inspect_file(path, "a.json", SETTINGS).facts["features"] == 1


@pytest.mark.parametrize(
    "crs",
    [
        None,
        {"type": "name", "properties": {"name": "Gauss"}},
        {"type": "link"},
        "EPSG:4326",
        {"type": "name", "properties": {"name": "EPSG:999999"}},
        {"type": "name", "properties": {"name": "EPSG:4978"}},  # geocentric
    ],
)
def test_legacy_crs_that_is_unknown(tmp_path: Path, crs: Any) -> None:
    with pytest.raises(MissingCrs):
        inspect_file(put(tmp_path / "a.json", collection(crs=crs)), "a.json", SETTINGS)


def test_metres_without_crs(tmp_path: Path) -> None:
    body = collection()
    body["features"][0]["geometry"] = {"type": "Point", "coordinates": [600_000, 5_300_000]}
    with pytest.raises(BadVector, match="outside its coordinate"):
        inspect_file(put(tmp_path / "a.json", body), "a.json", SETTINGS)


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "FeatureCollection", "features": [',
        '{"a": 1}',
        '{"type": "FeatureCollection", "features": [3]}',
        '{"type": "FeatureCollection", "features": []}',
        '{"type": "Polygon", "coordinates": [[[1, 2]]]}',
        '{"type": "Point", "coordinates": [NaN, 1]}',
        '{"type": "Point", "coordinates": "x"}',
        '{"type": ["x"]}',
        '{"type": "FeatureCollection", "features": ' + "[" * 100_000,
        '{"type": "Point", "coordinates": [1e999, 1]}',
        '{"type": "FeatureCollection", "features": [{"type": "Feature"},]}',
        '{"type": "FeatureCollection", "features": [] []}',
        '{"type": "FeatureCollection", "features": []} x',
        '{"type": "FeatureCollection", 1: []}',
        '{"type": "FeatureCollection" "features": []}',
        '{"type": "FeatureCollection", "features": {}}',
        "{",
        '{"type"',
    ],
)
def test_broken_geojson(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(BadVector):
        inspect_file(path, "a.json", SETTINGS)


def test_geojson_members_come_in_any_order_and_with_any_white_space(tmp_path: Path) -> None:
    body = collection(name="x", crs={"type": "name", "properties": {"name": "EPSG:32632"}})
    body["features"][0]["geometry"]["coordinates"] = [[[6e5, 53e5], [6e5, 53.1e5], [6.1e5, 53e5], [6e5, 53e5]]]
    first = json.dumps({"features": body.pop("features") * 3, **body}, indent=3)
    path = tmp_path / "a.json"
    path.write_text("\ufeff \n" + first.replace(":", " \t:\r\n").replace("EPSG \t:\r\n", "EPSG:") + "\n")
    assert inspect_file(path, "a.json", SETTINGS).facts["features"] == 3
    assert read_vector(path).crs.to_epsg() == 32632


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.parquet"])
def test_chunks_count_the_rows_of_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    many = geopandas.GeoDataFrame({"n": range(45)}, geometry=[Point(k, 50) for k in range(45)], crs="EPSG:4326")
    many.to_parquet(path) if name == "a.parquet" else many.to_file(path)
    chunks = list(read_chunks(path, columns=["n"], optional=["n", "absent"], size=20))
    assert [len(chunk) for chunk in chunks] == [20, 20, 5]
    assert [k for chunk in chunks for k in chunk.index] == list(range(45))
    assert [list(chunk.columns) for chunk in chunks] == [["n", "geometry"]] * 3
    assert [k for chunk in chunks for k in chunk["n"]] == list(range(45))
    assert len(read_vector(path)) == 45


def test_a_file_without_features_is_one_empty_frame(tmp_path: Path) -> None:
    empty = frame().iloc[:0]
    empty.to_parquet(tmp_path / "a.parquet")
    empty.to_file(tmp_path / "a.gpkg")
    (tmp_path / "a.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    for name in ("a.parquet", "a.gpkg", "a.geojson"):
        chunks = list(read_chunks(tmp_path / name))
        assert [len(chunk) for chunk in chunks] == [0]
        assert chunks[0].crs is not None


def test_swapped_axes_are_let_in_and_noted(tmp_path: Path) -> None:
    tokyo = geopandas.GeoDataFrame(geometry=[box(35.6, 139.6, 35.7, 139.7)], crs="EPSG:4326")
    tokyo.to_file(tmp_path / "a.gpkg")
    facts = inspect_file(tmp_path / "a.gpkg", "a.gpkg", SETTINGS).facts
    assert facts["axes_swapped"]
    assert facts["lonlat_bounds"] == pytest.approx([139.6, 35.6, 139.7, 35.7])


def test_too_many_features(tmp_path: Path) -> None:
    for name, driver in (("a.gpkg", "GPKG"), ("a.json", "GeoJSON")):
        frame().to_file(tmp_path / name, driver=driver)
        with pytest.raises(UploadTooLarge, match="more than 3"):
            inspect_file(tmp_path / name, name, Settings(max_features=3))
    frame().to_parquet(tmp_path / "a.parquet")
    with pytest.raises(UploadTooLarge):
        inspect_file(tmp_path / "a.parquet", "a", Settings(max_features=3))


def test_no_crs(tmp_path: Path) -> None:
    frame(None).to_parquet(tmp_path / "a.parquet")
    frame(None).to_file(tmp_path / "a.gpkg", driver="GPKG")
    for name in ("a.parquet", "a.gpkg"):
        with pytest.raises(MissingCrs, match=name):
            inspect_file(tmp_path / name, name, SETTINGS)


def test_plain_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UnsupportedFormat, match="geo"):
        inspect_file(tmp_path / "a.parquet", "a.parquet", SETTINGS)


def test_geopackage_with_a_view_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    frame().to_file(path, driver="GPKG", layer="plots")
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE plots RENAME TO hidden")
        database.execute(
            "CREATE VIEW plots AS SELECT * FROM hidden, (WITH RECURSIVE n(i) AS "
            "(SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)"
        )
    with pytest.raises(BadVector, match="view"):
        inspect_file(path, "a.gpkg", SETTINGS)


def test_geopackage_with_two_layers_lists_them(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    frame().to_file(path, driver="GPKG", layer="plots")
    frame().head(2).to_file(path, driver="GPKG", layer="streets")
    assert [v["name"] for v in inspect_file(path, "a.gpkg", SETTINGS).facts["layers"]] == ["plots", "streets"]
    assert len(read_vector(path, layer="streets")) == 2
    with pytest.raises(BadVector, match="plots, streets"):
        read_vector(path)
    with pytest.raises(BadVector, match="no layer"):
        read_vector(path, layer="x")


def test_without_geometry(tmp_path: Path) -> None:
    empty = geopandas.GeoDataFrame({"a": [1]}, geometry=[Point()], crs="EPSG:32632")
    empty.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(BadVector, match="no geometry"):
        inspect_file(tmp_path / "a.parquet", "a.parquet", SETTINGS)


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("name", ["a.gpkg", "a.parquet"])
def test_truncated(tmp_path: Path, name: str, kept: float) -> None:
    path = tmp_path / name
    frame().to_parquet(path) if name.endswith("parquet") else frame().to_file(path, driver="GPKG")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(BadVector):
        inspect_file(path, name, SETTINGS)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_end_in_our_errors(tmp_path: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["json", "gpkg", "parquet"]))
    seed = tmp_path / f"seed.{kind}"
    if not seed.exists():
        if kind == "json":
            put(seed, collection(crs={"type": "name", "properties": {"name": "EPSG:4326"}}))
        else:
            frame().to_parquet(seed) if kind == "parquet" else frame().to_file(seed, driver="GPKG")
    content = bytearray(seed.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "mutated"
    path.write_bytes(bytes(content))
    found = read_or_refusal(path)
    if isinstance(found, CityzonesError):
        assert found.code != CityzonesError.code
        assert found.detail
    else:
        seen, read = found
        assert (seen.kind, seen.facts["features"]) == ("vector", len(read))
        assert json.loads(json.dumps(seen.facts)) == seen.facts
        assert read.crs is not None


def read_or_refusal(path: Path) -> tuple[Inspection, geopandas.GeoDataFrame] | CityzonesError:
    try:
        return inspect_file(path, path.name, SETTINGS), read_vector(path)
    except CityzonesError as refusal:
        return refusal
