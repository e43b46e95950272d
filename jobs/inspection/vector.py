"""GeoJSON, GeoPackage and GeoParquet: what is in them, and the one way the worker reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas

from jobs.errors import BadVector
from jobs.inspection.geojson import inspect_geojson, read_geojson
from jobs.inspection.geopackage import inspect_geopackage, read_geopackage
from jobs.inspection.geoparquet import inspect_geoparquet, read_geoparquet
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
    """Read an inspected vector file with its CRS set; geometries may be of any type, empty or missing.

    `columns` limits the attributes (a name that does not exist is BadVector, naming those that do);
    `layer` matters to a GeoPackage only, and may be left out where it holds one layer.
    """
    suffix = recognise(path, path.name)
    if suffix in RASTERS:
        raise BadVector("this upload is an image; parcels, buildings and streets are polygons or lines")
    if suffix == ".geojson":
        return read_geojson(path, columns)
    if suffix == ".gpkg":
        return read_geopackage(path, columns, layer)
    return read_geoparquet(path, columns)
