"""GeoPackages that run what came with them, GeoParquet that says what is not so, and both with wrong bytes."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from shapely.geometry import box

from tests.fuzz.geojson import SOUTH, VALUES, WEST

_ROWS = 12
_ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT"
# What is done to a good file; {name} leads to the bait.
_SCRIPTS = (
    "DROP TABLE parcels",
    "DELETE FROM parcels",
    "DELETE FROM gpkg_contents",
    "DELETE FROM gpkg_geometry_columns",
    "DELETE FROM gpkg_spatial_ref_sys",
    "DROP TABLE gpkg_contents",
    "DROP TABLE gpkg_spatial_ref_sys",
    "UPDATE gpkg_contents SET table_name = '{name}'",
    "UPDATE gpkg_contents SET data_type = 'attributes'",
    "UPDATE gpkg_contents SET min_x = 'a', max_x = 1e999, min_y = NULL",
    "UPDATE gpkg_contents SET table_name = 'sqlite_master'",
    "UPDATE gpkg_geometry_columns SET column_name = 'fid'",
    "UPDATE gpkg_geometry_columns SET column_name = 'none'",
    "UPDATE gpkg_geometry_columns SET column_name = 'a\"; DROP TABLE parcels; --'",
    "UPDATE gpkg_geometry_columns SET geometry_type_name = 'NONSENSE'",
    "UPDATE gpkg_geometry_columns SET srs_id = 'abc'",
    "UPDATE gpkg_geometry_columns SET srs_id = 9223372036854775807",
    "UPDATE gpkg_geometry_columns SET srs_id = -1",
    "UPDATE gpkg_geometry_columns SET srs_id = NULL",
    "UPDATE gpkg_geometry_columns SET z = 7, m = 'x'",
    "UPDATE gpkg_spatial_ref_sys SET definition = '{name}'",
    "UPDATE gpkg_spatial_ref_sys SET definition = 'GEOGCS[' || hex(zeroblob(100000))",
    "UPDATE gpkg_spatial_ref_sys SET definition = '', organization = '{name}', organization_coordsys_id = 'x'",
    "UPDATE gpkg_spatial_ref_sys SET organization = 'EPSG', organization_coordsys_id = 5714",
    "UPDATE parcels SET geom = NULL",
    "UPDATE parcels SET geom = x'47500003' WHERE fid = 2",
    "UPDATE parcels SET geom = 'text' WHERE fid = 3",
    "UPDATE parcels SET geom = 7",
    "UPDATE parcels SET geom = zeroblob(1000000) WHERE fid = 1",
    "UPDATE parcels SET geom = substr(geom, 1, 50)",
    "UPDATE parcels SET geom = substr(geom, 1, 45) || x'ffffffff' || substr(geom, 50)",
    "UPDATE parcels SET name = zeroblob(1000), height = 'high'",
    "UPDATE parcels SET height = 9e999, name = x'ff00fe'",
    "UPDATE parcels SET fid = fid + 9223372036854775000",
    "ALTER TABLE parcels RENAME COLUMN name TO '\"quoted\" ''name'''",
    "ALTER TABLE parcels ADD COLUMN computed GENERATED ALWAYS AS (load_extension('{name}')) VIRTUAL",
    "ALTER TABLE parcels ADD COLUMN '' TEXT",
    "ALTER TABLE parcels RENAME TO 'par\u0000cels'",
    "ALTER TABLE parcels RENAME TO p2; CREATE VIEW parcels AS SELECT * FROM p2",
    f"ALTER TABLE parcels RENAME TO p2; CREATE VIEW parcels AS {_ENDLESS} n AS fid, x'00' AS geom FROM r",
    f"DROP TABLE gpkg_contents; CREATE VIEW gpkg_contents AS {_ENDLESS} 'parcels' AS table_name FROM r",
    "DROP TABLE gpkg_ogr_contents; CREATE VIEW gpkg_ogr_contents AS SELECT load_extension('{name}') AS table_name",
    "CREATE VIEW gpkg_extensions AS SELECT readfile('{name}') AS table_name",
    "DELETE FROM gpkg_extensions",
    "INSERT INTO gpkg_extensions VALUES ('parcels', 'geom', 'gpkg_geom_CURVE', '{name}', 'read-write')",
    "CREATE TABLE gpkg_metadata AS SELECT 1 AS id, '{name}' AS md_scope, '<GDALMultiDomainMetadata>' AS metadata",
    "CREATE TRIGGER t AFTER INSERT ON parcels BEGIN SELECT load_extension('{name}'); END",
    "CREATE TABLE sent(x DEFAULT (readfile('{name}')))",
    "CREATE TABLE layer_styles(id, styleSLD); INSERT INTO layer_styles VALUES (1, '{name}')",
    "CREATE VIRTUAL TABLE rtree_parcels_more USING rtree(id, a, b, c, d)",
    "CREATE VIRTUAL TABLE rtree_x USING fts5(content, tokenize = 'unicode61')",
    "PRAGMA application_id = 1196437808",
    "PRAGMA application_id = 0",
    "PRAGMA user_version = 99999",
    "PRAGMA journal_mode = WAL",
    "PRAGMA encoding = 'UTF-16'; VACUUM",
    "PRAGMA auto_vacuum = FULL; VACUUM",
)
# What no statement may do, written into the file's own list of what there is.
_SCHEMAS = (
    "CREATE VIRTUAL TABLE parcels USING VirtualOGR('{name}')",
    "CREATE VIRTUAL TABLE parcels USING csv(filename='{name}')",
    "CREATE VIRTUAL TABLE parcels USING fts3(x, tokenize=icu '{name}')",
    "CREATE TABLE parcels AS SELECT 1",
    "CREATE TABLE parcels(",
    "CREATE TABLE parcels(fid, fid, geom)",
    "",
    "ATTACH '{name}' AS other",
    "CREATE TABLE parcels(fid INTEGER PRIMARY KEY, geom BLOB, name TEXT CHECK (load_extension('{name}')), height REAL)",
)


@cache
def good(suffix: str) -> bytes:
    """Return a layer of parcels as .gpkg or .parquet."""
    shapes = [box(WEST + k / 2000, SOUTH, WEST + (k + 1) / 2000, SOUTH + 0.001) for k in range(_ROWS)]
    table = {"name": [f"p{k}" for k in range(_ROWS)], "height": [float(k) for k in range(_ROWS)]}
    frame = gpd.GeoDataFrame(table, geometry=shapes, crs="EPSG:4326")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"parcels{suffix}"
        if suffix == ".gpkg":
            frame.to_file(path, driver="GPKG", layer="parcels")
        else:
            frame.to_parquet(path)
        return path.read_bytes()


@cache
def _scripted(script: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parcels.gpkg"
        path.write_bytes(good(".gpkg"))
        database = sqlite3.connect(path)
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        for (name,) in database.execute(triggers).fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        if script.startswith("schema:"):
            database.execute("PRAGMA writable_schema = ON")
            database.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'parcels'", (script[7:],))
            database.commit()
        else:
            with suppress(sqlite3.Error, ValueError):  # what SQLite itself does not let through
                database.executescript(script)
            database.commit()
        database.close()
        return path.read_bytes()


@st.composite
def geopackages(draw: st.DrawFn, names: Sequence[str]) -> bytes:
    """Return a GeoPackage with a table, a register or bytes changed."""
    kind = draw(st.sampled_from(["script", "script", "schema", "bytes", "bytes"]))
    name = draw(st.sampled_from([n for n in names if "'" not in n and '"' not in n]))
    if kind == "bytes":
        return draw(_spoiled(good(".gpkg"), (16, 18, 20, 28, 32, 36, 44, 52, 56, 60, 64, 68, 92, 100, 103, 105, 108)))
    text = draw(st.sampled_from(_SCRIPTS if kind == "script" else _SCHEMAS)).replace("{name}", name)
    made = _scripted(text if kind == "script" else f"schema:{text}")
    return draw(_spoiled(made, (100,))) if draw(st.integers(0, 5)) == 0 else made


@st.composite
def _spoiled(draw: st.DrawFn, whole: bytes, places: Sequence[int]) -> bytes:
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.one_of(st.sampled_from(places), st.integers(0, len(data) - 5)))
        if draw(st.booleans()):
            data[at] = draw(st.integers(0, 255))
        else:
            data[at : at + 4] = draw(st.sampled_from([0, 1, 2**31 - 1, 2**32 - 1, 65536, 255])).to_bytes(4, "big")
    return bytes(data[: draw(st.sampled_from([len(data)] * 4 + [len(data) // 2, len(data) - 1, 512, 4096, 100]))])


_CRSES = (
    None, "EPSG:4326", "EPSG:32633", "+proj=latlong +nadgrids={name}", "{name}", {}, {"type": "GeographicCRS"}, 7, [],
    {"id": {"authority": "EPSG", "code": 5714}}, {"id": {"authority": "{name}", "code": "x"}}, "IAU_2015:30100",
    "EPSG:4979", {"type": "ProjectedCRS", "name": "x" * 10_000}, True, "PROJCRS[" * 500,
)  # fmt: skip


@st.composite
def geoparquets(draw: st.DrawFn, names: Sequence[str]) -> bytes:
    """Return a Parquet file with `geo` metadata that say what is not so, columns of odd kinds, or wrong bytes."""
    whole = good(".parquet")
    if draw(st.booleans()):
        end = len(whole)
        return draw(_spoiled(whole, (0, 4, end - 8, end - 5, end - 6, *range(max(0, end - 3000), end - 9, 7))))
    table = pq.read_table(pa.BufferReader(whole))
    name = draw(st.sampled_from(names))
    crs = json.loads(json.dumps(draw(st.sampled_from(_CRSES))).replace("{name}", json.dumps(name)[1:-1]))
    column: dict[str, object] = {"encoding": "WKB", "geometry_types": [], "crs": crs}
    geo: dict[str, object] = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    spoilt = draw(st.sampled_from(["crs", "column", "geo", "text", "cells", "kind"]))
    if spoilt == "column":
        column[draw(st.sampled_from(sorted(column)))] = draw(VALUES)
    elif spoilt == "geo":
        geo[draw(st.sampled_from(sorted(geo)))] = draw(VALUES)
    elif spoilt in {"cells", "kind"}:
        column["crs"] = "EPSG:4326"
        table = draw(_odd_tables(table)) if spoilt == "kind" else _with_cells(table, draw)
    text = draw(st.sampled_from(["", "{", "[]", "null", "7", "[" * 5000, "\0"])) if spoilt == "text" else _json(geo)
    return _written(table.replace_schema_metadata({"geo": text.encode("utf-8", "replace")}))


def _json(geo: object) -> str:
    return json.dumps(geo, default=str)


def _with_cells(table: pa.Table, draw: st.DrawFn) -> pa.Table:
    shapes = table["geometry"].to_pylist()
    for _ in range(draw(st.integers(1, 4))):
        place, cut = draw(st.integers(0, _ROWS - 1)), draw(st.integers(0, 93))
        odd = [b"", b"\1", shapes[0][:cut] if shapes[0] else b"", b"\1\3\0\0\0\xff\xff\xff\xff", None, b"\0" * 93]
        shapes[place] = draw(st.sampled_from([*odd, b"\1\7\0\0\0\1\0\0\0" * 5000, draw(st.binary(max_size=40))]))
    return table.set_column(table.column_names.index("geometry"), "geometry", pa.array(shapes, pa.binary()))


@st.composite
def _odd_tables(draw: st.DrawFn, table: pa.Table) -> pa.Table:
    odd = {
        "texts": pa.array(["POINT (0 0)"] * _ROWS),
        "numbers": pa.array(range(_ROWS)),
        "lists": pa.array([[k] for k in range(_ROWS)]),
        "structs": pa.array([{"x": 1.0, "y": 2.0}] * _ROWS),
        "nulls": pa.nulls(_ROWS),
        "large": table["geometry"].combine_chunks().cast(pa.large_binary()),
        "dictionary": table["geometry"].combine_chunks().dictionary_encode(),
        "decimals": pa.array([None] * _ROWS, pa.decimal128(38, 10)),
        "times": pa.array([2**62] * _ROWS, pa.timestamp("ns")),
        "days": pa.array([2**31 - 1] * _ROWS, pa.date32()),
    }
    column = odd[draw(st.sampled_from(sorted(odd)))]
    name = draw(
        st.sampled_from(
            [
                "geometry",
                "name",
                "",
                "geometry",
                "a.b",
                "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
            ]
        )
    )
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
