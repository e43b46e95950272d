"""GeoJSON, GeoPackage and GeoParquet: what is in them, and the one way the worker reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import geopandas
import pandas as pd

from jobs.errors import BadVector
from jobs.inspection.geojson import geojson_chunks, inspect_geojson
from jobs.inspection.geopackage import geopackage_chunks, inspect_geopackage
from jobs.inspection.geoparquet import geoparquet_chunks, inspect_geoparquet
from jobs.inspection.signature import RASTERS, recognise
from jobs.settings import Settings


def inspect_vector(path: Path, suffix: str, name: str, settings: Settings) -> dict[str, Any]:
    """Check a vector file whose signature is known and return its facts.

    The facts: driver, crs, features, fields, geometry_types, layers, bounds, lonlat_bounds.
    Raises BadVector, MissingCrs or UploadTooLarge.
    """
    if suffix == ".geojson":
        return inspect_geojson(path, name, settings)
    if suffix == ".gpkg":
        return inspect_geopackage(path, name, settings)
    return inspect_geoparquet(path, name, settings)


def read_vector(path: Path, *, columns: list[str] | None = None, layer: str | None = None) -> geopandas.GeoDataFrame:
    """Read an inspected vector file whole, with its CRS set; geometries may be of any type, empty or missing.

    `columns` limits the attributes (a name that does not exist is BadVector, naming those that do);
    `layer` matters to a GeoPackage only, and may be left out where it holds one layer.
    """
    frames = list(read_chunks(path, columns=columns, layer=layer))
    return frames[0] if len(frames) == 1 else pd.concat(frames)


def read_chunks(
    path: Path,
    *,
    columns: Sequence[str] | None = None,
    optional: Sequence[str] = (),
    layer: str | None = None,
    size: int = 20_000,
) -> Iterator[geopandas.GeoDataFrame]:
    """Yield an inspected vector file in frames of at most `size` rows, so that files of any size fit into memory.

    The index counts the rows of the file from 0. `columns` and `layer` are as in `read_vector`; `optional` names
    attributes that are read where the file has them. A file without any feature yields one empty frame.
    """
    suffix = recognise(path, path.name)
    if suffix in RASTERS:
        raise BadVector("this upload is an image; parcels, buildings and streets are polygons or lines")
    if suffix == ".geojson":
        return geojson_chunks(path, columns, optional, size)
    if suffix == ".gpkg":
        return geopackage_chunks(path, columns, optional, layer, size)
    return geoparquet_chunks(path, columns, optional, size)
