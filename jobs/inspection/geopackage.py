"""GeoPackage: its registered tables are listed with SQLite read-only, and only plain tables are read, through GDAL."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import geopandas
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, GeometryError
from pyproj import CRS
from pyproj.exceptions import CRSError

from jobs.errors import BadVector, MissingCrs
from jobs.inspection.layer import check_columns, check_count, layer_facts
from jobs.settings import Settings

# No journal is written beside the upload, and only registered tables are looked at.
_READ_ONLY: Final = {"IMMUTABLE": "YES", "LIST_ALL_TABLES": "NO"}
# pyogrio tells every small departure from the standard; a filter of the process, since per call is not thread-safe.
warnings.filterwarnings("ignore", category=RuntimeWarning, module="pyogrio")
_SECONDS: Final = 20.0
_STEPS: Final = 10_000
_MAX_LAYERS: Final = 100
_LISTED: Final = """
SELECT c.table_name, g.srs_id, m.type, m.sql
FROM gpkg_contents c JOIN gpkg_geometry_columns g USING (table_name)
LEFT JOIN sqlite_master m ON lower(m.name) = lower(c.table_name) AND m.type IN ('table', 'view')
WHERE c.data_type = 'features' ORDER BY c.rowid LIMIT ?
"""
_REGISTERS: Final = """
SELECT lower(name), type FROM sqlite_master
WHERE lower(name) IN ('gpkg_contents', 'gpkg_geometry_columns', 'gpkg_spatial_ref_sys')
"""
_GDAL: Final = (
    DataSourceError,
    DataLayerError,
    FeatureError,
    GeometryError,
    ValueError,
    OSError,
    CRSError,
    RuntimeError,
)


@dataclass(frozen=True, slots=True)
class _Layer:
    name: str
    features: int
    srs: int


def inspect_geopackage(path: Path, name: str, settings: Settings) -> dict[str, Any]:
    """Return the facts of a GeoPackage's only (else first) layer; raises BadVector, MissingCrs or UploadTooLarge."""
    layers = _layers(path, name)
    for layer in layers:
        check_count(layer.features, name, settings)
    first = layers[0]
    if first.srs in {-1, 0}:
        raise MissingCrs(f"{name}: layer {first.name!r} has no coordinate reference system: set it and send it again")
    frame = _read(path, first.name, None, name)
    facts = layer_facts("GPKG", frame.geometry.array, _crs_of(frame, name), [c for c in frame if c != "geometry"], name)
    return facts | {"layers": [{"name": v.name, "features": v.features} for v in layers]}


def read_geopackage(path: Path, columns: list[str] | None, layer: str | None) -> geopandas.GeoDataFrame:
    """Read one layer; without `layer` the file must hold exactly one."""
    layers = [v.name for v in _layers(path, "the file")]
    if layer is None and len(layers) > 1:
        raise BadVector(f"the GeoPackage holds {len(layers)} layers ({', '.join(layers[:10])}): name one as layer")
    if layer is not None and layer not in layers:
        raise BadVector(f"the GeoPackage has no layer {layer!r}; its layers: {', '.join(layers[:10])}")
    chosen = layer or layers[0]
    if columns is not None:
        check_columns(columns, _fields(path, chosen))
    frame = _read(path, chosen, columns, "the file")
    _crs_of(frame, "the file")
    return frame


def _layers(path: Path, name: str) -> list[_Layer]:
    try:
        with _database(path) as database:
            _check_registers(database, name)
            rows = database.execute(_LISTED, (_MAX_LAYERS,)).fetchall()
            return [_Layer(t, _count(database, t), int(s)) for t, s in _plain(rows, name)]
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
    found = dict(database.execute(_REGISTERS).fetchall())
    if found != dict.fromkeys(("gpkg_contents", "gpkg_geometry_columns", "gpkg_spatial_ref_sys"), "table"):
        raise BadVector(f"{name} lacks the tables of a GeoPackage: export it again")


def _plain(rows: list[tuple[Any, ...]], name: str) -> list[tuple[str, int]]:
    """Keep registered feature tables; a view or a virtual table runs code that came with the file."""
    odd = [str(t) for t, _, kind, sql in rows if kind != "table" or "virtual" in str(sql)[:40].lower()]
    if odd:
        raise BadVector(f"{name}: {', '.join(odd[:5])} is a view or missing, not a table: export the layer as a table")
    if not rows:
        raise BadVector(f"{name} is a GeoPackage without a feature layer")
    return [(str(t), int(s)) for t, s, _, _ in rows]


def _count(database: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    return int(database.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0])  # noqa: S608 - a quoted identifier


def _fields(path: Path, layer: str) -> list[str]:
    try:
        return [str(f) for f in pyogrio.read_info(path.absolute(), layer=layer, **_READ_ONLY)["fields"]]
    except _GDAL as error:
        raise BadVector("the GeoPackage is damaged: export it again") from error


def _read(path: Path, layer: str, columns: list[str] | None, name: str) -> geopandas.GeoDataFrame:
    try:
        info = pyogrio.read_info(path.absolute(), layer=layer, **_READ_ONLY)
        if info["driver"] != "GPKG":
            raise BadVector(f"{name} is not a GeoPackage inside: export it again")
        frame = pyogrio.read_dataframe(path.absolute(), layer=layer, columns=columns, **_READ_ONLY)
    except _GDAL as error:
        raise BadVector(f"{name}: layer {layer!r} cannot be read; it is damaged, export it again") from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise BadVector(f"{name}: layer {layer!r} has no geometry")
    return frame


def _crs_of(frame: geopandas.GeoDataFrame, name: str) -> CRS:
    if frame.crs is None or CRS.from_user_input(frame.crs).type_name == "Engineering CRS":
        raise MissingCrs(f"{name} does not say which coordinate reference system it is in: set it and send it again")
    return CRS.from_user_input(frame.crs)
