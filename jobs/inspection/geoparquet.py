"""GeoParquet read with Arrow: the `geo` metadata says where the geometry is and in which CRS."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from jobs.errors import BadVector, MissingCrs, UnsupportedFormat, UploadTooLarge
from jobs.inspection.facts import self_contained
from jobs.inspection.layer import INSPECTED_AT_ONCE, LONLAT, check_count, kept_columns, layer_facts
from jobs.inspection.signature import ACCEPTED
from jobs.settings import Settings

_MAX_UNPACKED: Final = 4 * 1024**3
_THRIFT_LIMIT: Final = 64 * 1024**2
_ARCS: Final = "the GeoParquet file holds arcs, which the format does not know: export straight edges"
_EXPECTED: Final = (
    pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError,
    MemoryError, RecursionError, shapely.errors.ShapelyError,
)  # fmt: skip


def inspect_geoparquet(path: Path, name: str, settings: Settings) -> dict[str, Any]:
    """Return the facts of a GeoParquet file; raises BadVector, MissingCrs, UploadTooLarge or UnsupportedFormat."""
    try:
        column, crs = _geometry_of(path, name)
        with _open(path, column) as file:
            check_count(file.metadata.num_rows, name, settings)
            fields = [f for f in file.schema_arrow.names if f != column]
            chunks = (frame.geometry.array for frame in _chunks(file, column, [], crs, INSPECTED_AT_ONCE))
            facts = layer_facts("Parquet", chunks, crs, fields, name)
    except NotImplementedError as error:
        raise BadVector(_ARCS) from error
    except _EXPECTED as error:
        raise BadVector(f"{name} is damaged or not GeoParquet with WKB geometries: export it again") from error
    return facts | {"layers": [{"name": None, "features": facts["features"]}]}


def geoparquet_chunks(
    path: Path, columns: Sequence[str] | None, optional: Sequence[str], size: int
) -> Iterator[geopandas.GeoDataFrame]:
    """Yield a GeoParquet file in frames of at most `size` rows; its geometry column is called `geometry` afterwards."""
    name = "the file"
    try:
        column, crs = _geometry_of(path, name)
        with _open(path, column) as file:
            kept = kept_columns(columns, optional, [f for f in file.schema_arrow.names if f != column])
            yield from _chunks(file, column, kept, crs, size)
    except NotImplementedError as error:
        raise BadVector(_ARCS) from error
    except _EXPECTED as error:
        raise BadVector("the GeoParquet file is damaged: export it again") from error


def _chunks(
    file: pq.ParquetFile, column: str, columns: Sequence[str], crs: CRS, size: int
) -> Iterator[geopandas.GeoDataFrame]:
    start = 0
    if not file.metadata.num_rows:
        yield geopandas.GeoDataFrame({c: [] for c in columns}, geometry=[], crs=crs)
    for batch in file.iter_batches(batch_size=size, columns=[column, *columns]):
        geometries = _shapes(batch.column(column))
        table = batch.drop_columns([column]).to_pandas(ignore_metadata=True, integer_object_nulls=True)
        table.index = pd.RangeIndex(start, start + batch.num_rows)
        start += batch.num_rows
        yield geopandas.GeoDataFrame(table, geometry=geometries, crs=crs)


def _shapes(column: pa.Array) -> NDArray[np.object_]:
    """Return a column's geometries; those that cannot be read are missing.

    A geometry that is stored once and named by many rows stays one: unpacked, a small file could fill the memory.
    """
    if not pa.types.is_dictionary(column.type):
        return np.asarray(shapely.from_wkb(column.to_numpy(zero_copy_only=False), on_invalid="ignore"), object)
    stored = [*column.dictionary.to_pylist(), None]
    rows = column.indices.fill_null(len(stored) - 1).to_numpy(zero_copy_only=False)
    shapes: NDArray[np.object_] = np.asarray(shapely.from_wkb(stored, on_invalid="ignore"), object)
    named: NDArray[np.object_] = shapes.take(rows)
    return named


def _geometry_of(path: Path, name: str) -> tuple[str, CRS]:
    with _open(path, None) as file:
        _check_unpacked(file, name)
        return _geometry_column(file, name)


def _open(path: Path, dictionary: str | None) -> pq.ParquetFile:
    """Open a file; values of the column `dictionary` are handed over as they are stored: each once."""
    return pq.ParquetFile(
        path,
        memory_map=False,
        read_dictionary=None if dictionary is None else [dictionary],
        buffer_size=2**20,
        thrift_string_size_limit=_THRIFT_LIMIT,
        thrift_container_size_limit=_THRIFT_LIMIT // 64,
    )


def _check_unpacked(file: pq.ParquetFile, name: str) -> None:
    meta = file.metadata
    unpacked = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    if unpacked > _MAX_UNPACKED:
        raise UploadTooLarge(f"{name} would unpack to {unpacked / 1024**3:.1f} GiB: send fewer columns or features")


def _geometry_column(file: pq.ParquetFile, name: str) -> tuple[str, CRS]:
    raw = (file.metadata.metadata or {}).get(b"geo")
    if raw is None:
        raise UnsupportedFormat(f"{name} is Parquet without the `geo` metadata of GeoParquet; {ACCEPTED}")
    geo = json.loads(raw)
    column = geo["primary_column"]
    told = geo["columns"][column]
    if told.get("encoding") != "WKB":
        raise BadVector(f"{name} encodes its geometry as {str(told.get('encoding'))[:20]}; write GeoParquet with WKB")
    if "crs" not in told:
        return column, CRS.from_user_input(LONLAT)
    if told["crs"] is None:
        raise MissingCrs(f"{name} says that its coordinate reference system is unknown: set it and send it again")
    try:
        return column, self_contained(_crs(told["crs"]), name)
    except CRSError as error:
        raise MissingCrs(f"{name} has a coordinate reference system that cannot be read: set it again") from error


def _crs(told: Any) -> CRS:
    """Return a CRS given as PROJJSON, WKT or code; a PROJ string may name any file and is refused (CRSError)."""
    if isinstance(told, str) and "=" in told:
        raise CRSError("a PROJ string")
    return CRS.from_user_input(told)
