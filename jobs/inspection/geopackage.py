"""GeoPackage: its registered tables are listed with SQLite read-only, and only plain tables are read, through GDAL."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyogrio
import pyogrio.raw
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, GeometryError
from pyproj import CRS
from pyproj.exceptions import CRSError

from jobs.errors import BadVector, MissingCrs
from jobs.inspection.facts import self_contained
from jobs.inspection.layer import INSPECTED_AT_ONCE, check_count, kept_columns, layer_facts
from jobs.settings import Settings

# No journal is written beside the upload, and only registered tables are looked at.
READ_ONLY: Final = {"IMMUTABLE": "YES", "LIST_ALL_TABLES": "NO"}
# pyogrio tells every small departure from the standard; a filter of the process, since per call is not thread-safe.
warnings.filterwarnings("ignore", category=RuntimeWarning, module="pyogrio")
warnings.filterwarnings("ignore", category=RuntimeWarning, message="File .* has GPKG application_id")
# Bytes of geometry GDAL gathers at most before it hands features over, however many were asked for at once.
pyogrio.set_gdal_config_options({"OGR_ARROW_MEM_LIMIT": str(96 * 1024**2)})
_SECONDS: Final = 20.0
_STEPS: Final = 10_000
_MAX_LAYERS: Final = 100
_LISTED: Final = """
SELECT c.table_name, g.srs_id, m.type, m.sql, g.column_name, upper(g.geometry_type_name)
FROM gpkg_contents c JOIN gpkg_geometry_columns g USING (table_name)
LEFT JOIN sqlite_master m ON lower(m.name) = lower(c.table_name) AND m.type IN ('table', 'view')
WHERE c.data_type = 'features' ORDER BY c.rowid LIMIT ?
"""
# GDAL reads every table of the standard when it opens a file: a view in its place runs what came with the file.
_REGISTERS: Final = """
SELECT lower(name), type, coalesce(sql, '') FROM sqlite_master
WHERE type IN ('table', 'view')
  AND (lower(name) LIKE 'gpkg%' OR lower(name) LIKE 'rtree%' OR lower(name) LIKE 'sqlite%' OR lower(name) LIKE 'ogr%')
"""
_NEEDED: Final = frozenset({"gpkg_contents", "gpkg_geometry_columns", "gpkg_spatial_ref_sys"})
_INDEX: Final = re.compile(r"create\s+virtual\s+table\s.*\susing\s+rtree\s*\(", re.IGNORECASE | re.DOTALL)
_NO_AREAS: Final = frozenset(
    {
        "POINT", "MULTIPOINT", "LINESTRING", "MULTILINESTRING", "CIRCULARSTRING", "COMPOUNDCURVE", "CURVE",
        "MULTICURVE",
    }
)  # fmt: skip
_MOST_GEOMETRY: Final = 64 * 1024**2
_GDAL: Final = (
    DataSourceError,
    DataLayerError,
    FeatureError,
    GeometryError,
    ValueError,
    OSError,
    CRSError,
    RuntimeError,
    pa.ArrowException,
    shapely.errors.ShapelyError,
)


@dataclass(frozen=True, slots=True)
class _Layer:
    name: str
    features: int
    srs: int
    kind: str


def inspect_geopackage(path: Path, name: str, settings: Settings) -> dict[str, Any]:
    """Return the facts of a GeoPackage's only (else first) layer; raises BadVector, MissingCrs or UploadTooLarge."""
    layers = _layers(path, name)
    for layer in layers:
        check_count(layer.features, name, settings)
    first = layers[0]
    if first.srs in {-1, 0}:
        raise MissingCrs(f"{name}: layer {first.name!r} has no coordinate reference system: set it and send it again")
    told = _info(path, first.name, name)
    chunks = (frame.geometry.array for frame in _chunks(path, first.name, [], INSPECTED_AT_ONCE, name))
    facts = layer_facts("GPKG", chunks, _crs_of(told, name), [str(f) for f in told["fields"]], name)
    return facts | {"layers": [{"name": v.name, "features": v.features} for v in layers]}


def geopackage_chunks(
    path: Path, columns: Sequence[str] | None, optional: Sequence[str], layer: str | None, size: int
) -> Iterator[geopandas.GeoDataFrame]:
    """Yield one layer in frames of at most `size` rows; without `layer` the file must hold exactly one."""
    layers = [v.name for v in _layers(path, "the file")]
    if layer is None and len(layers) > 1:
        raise BadVector(f"the GeoPackage holds {len(layers)} layers ({', '.join(layers[:10])}): name one as layer")
    if layer is not None and layer not in layers:
        raise BadVector(f"the GeoPackage has no layer {layer!r}; its layers: {', '.join(layers[:10])}")
    chosen = layer or layers[0]
    kept = kept_columns(columns, optional, [str(f) for f in _info(path, chosen, "the file")["fields"]])
    return _chunks(path, chosen, kept, size, "the file")


def layers_of_areas(path: Path) -> list[str]:
    """Return the names of the layers of an inspected file that, as they are declared, may hold polygons."""
    return [layer.name for layer in _layers(path, "the file") if layer.kind not in _NO_AREAS]


def _layers(path: Path, name: str) -> list[_Layer]:
    try:
        with _database(path) as database:
            _check_registers(database, name)
            rows = database.execute(_LISTED, (_MAX_LAYERS,)).fetchall()
            layers = []
            for table, srs, geometry, kind in _plain(rows, name):
                _check_columns(database, table, geometry, name)
                layers.append(_Layer(table, _count(database, table), srs, kind))
            return layers
    except (sqlite3.Error, ValueError, OverflowError, TypeError) as error:
        raise BadVector(f"{name} is a damaged GeoPackage: export it again") from error


@contextlib.contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    address = path.absolute().as_uri() + "?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=1.0)) as database:
        deadline = time.monotonic() + _SECONDS
        database.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS)
        database.execute("PRAGMA trusted_schema = OFF")
        yield database


def _check_registers(database: sqlite3.Connection, name: str) -> None:
    found = database.execute(_REGISTERS).fetchall()
    if not {table for table, _, _ in found} >= _NEEDED:
        raise BadVector(f"{name} lacks the tables of a GeoPackage: export it again")
    for table, kind, sql in found:
        computed = kind == "view" or (_virtual(sql) and not (table.startswith("rtree") and _INDEX.match(sql)))
        if computed:
            raise BadVector(f"{name}: {table} is not a plain table, as the standard has it: export it again")


def _check_columns(database: sqlite3.Connection, table: str, geometry: str, name: str) -> None:
    """Refuse columns that are computed when they are read, and geometries that would fill the memory."""
    columns = database.execute("SELECT hidden FROM pragma_table_xinfo(?)", (table,)).fetchall()
    if any(hidden for (hidden,) in columns):
        raise BadVector(f"{name}: {table} has computed columns: export the layer as a plain table")
    longest = database.execute(f"SELECT max(length({_quoted(geometry)})) FROM {_quoted(table)}").fetchone()[0]  # noqa: S608 - quoted
    if (longest or 0) > _MOST_GEOMETRY:
        raise BadVector(f"{name}: a geometry of {table} has {longest} bytes: split or simplify it")


def _virtual(sql: str) -> bool:
    return "virtual" in sql[:40].lower()


def _plain(rows: list[tuple[Any, ...]], name: str) -> list[tuple[str, int, str, str]]:
    """Keep registered feature tables; a view or a virtual table runs code that came with the file."""
    odd = [str(t) for t, _, kind, sql, *_ in rows if kind != "table" or _virtual(str(sql))]
    if odd:
        raise BadVector(f"{name}: {', '.join(odd[:5])} is a view or missing, not a table: export the layer as a table")
    if not rows:
        raise BadVector(f"{name} is a GeoPackage without a feature layer")
    return [(str(t), int(s), str(g), str(declared)) for t, s, _, _, g, declared in rows]


def _count(database: sqlite3.Connection, table: str) -> int:
    return int(database.execute(f"SELECT count(*) FROM {_quoted(table)}").fetchone()[0])  # noqa: S608 - quoted


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _info(path: Path, layer: str, name: str) -> dict[str, Any]:
    try:
        info: dict[str, Any] = pyogrio.read_info(path.absolute(), layer=layer, **READ_ONLY)
    except _GDAL as error:
        raise BadVector(f"{name} is damaged: export it again") from error
    if info["driver"] != "GPKG":
        raise BadVector(f"{name} is not a GeoPackage inside: export it again")
    if info["geometry_type"] is None:
        raise BadVector(f"{name}: layer {layer!r} has no geometry")
    return info


def _chunks(path: Path, layer: str, columns: Sequence[str], size: int, name: str) -> Iterator[geopandas.GeoDataFrame]:
    """Yield the features in the order of their numbers; one row group at a time is held."""
    crs = _crs_of(_info(path, layer, name), name)
    batches = pyogrio.open_arrow(
        path.absolute(), layer=layer, columns=list(columns), batch_size=size, return_fids=True, use_pyarrow=True,
        **READ_ONLY,
    )  # fmt: skip
    start = 0
    try:
        with batches as (told, reader):
            drawn, number = told["geometry_name"] or "wkb_geometry", reader.schema.names[0]
            for batch in reader:
                shapes = _shapes(path, layer, batch.column(drawn), batch.column(number))
                table = batch.drop_columns([drawn, number]).to_pandas(ignore_metadata=True, integer_object_nulls=True)
                table.index = pd.RangeIndex(start, start + len(table))
                start += len(table)
                yield geopandas.GeoDataFrame(table[list(columns)], geometry=shapes, crs=crs)
            if not start:
                yield geopandas.GeoDataFrame({c: [] for c in columns}, geometry=[], crs=crs)
    except _GDAL as error:
        raise BadVector(f"{name}: layer {layer!r} cannot be read; it is damaged, export it again") from error


def _shapes(path: Path, layer: str, drawn: pa.Array, numbers: pa.Array) -> Any:
    """Return geometries; those that cannot be read are missing, arcs are read as short straight lines."""
    try:
        return shapely.from_wkb(drawn.to_numpy(zero_copy_only=False), on_invalid="ignore")
    except NotImplementedError:  # arcs, which GEOS does not know
        fids = numbers.to_numpy()
        found = pyogrio.raw.read(path.absolute(), layer=layer, columns=[], fids=fids, return_fids=True, **READ_ONLY)
        shapes = np.full(len(fids), None, dtype=object)
        shapes[np.searchsorted(fids, found[1])] = shapely.from_wkb(found[2], on_invalid="ignore")
        return shapes


def _crs_of(info: Mapping[str, Any], name: str) -> CRS:
    try:
        crs = None if info["crs"] is None else CRS.from_user_input(info["crs"])
    except CRSError as error:
        raise MissingCrs(f"{name} has a coordinate reference system that cannot be read: set it again") from error
    if crs is None or crs.type_name == "Engineering CRS":
        raise MissingCrs(f"{name} does not say which coordinate reference system it is in: set it and send it again")
    return self_contained(crs, name)
