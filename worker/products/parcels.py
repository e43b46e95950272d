"""The table of parcels as GeoParquet and as a GeoPackage that opens in its class colours."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon

from jobs.products import PARCELS_LAYER
from models.classes import MapClass
from worker.parcels.units import ABSTAIN, UNIT_NAMES, Verdicts
from worker.products.style import parcels_qml, parcels_sld

# Of a GeoParquet file: who looks for one parcel reads a few thousand, and not a city of them.
_ROW_GROUP: Final = 4096
_LAYER_STYLES: Final = """
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256),
  f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
  useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
  update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))
"""


def parcel_table(
    parcels: gpd.GeoDataFrame,
    verdicts: Verdicts,
    classes: tuple[MapClass, ...],
    shares: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> gpd.GeoDataFrame:
    """Return the table both files hold, one row a parcel in the order of `parcels`.

    class_code, class_label, class_name and second_code are of the parcel's own mean probability, whatever unit decided
    (`decided_by`, with the `reason` where it was not the parcel), but where its block did, of the block's; all four are
    null where it abstained. valid_fraction is the share with imagery of what of the parcel lies on the job's grid,
    pixels that share in whole pixels of the probability grid. p_1, p_2, ... are the share of each class: its mean
    probability over the parcel, 0 in all of them without imagery. `shares` adds sums of them, by the name of the
    column, null without imagery.
    """
    silent = (verdicts.unit == ABSTAIN) | (verdicts.top == 0)
    columns: dict[str, Any] = {
        "parcel_id": parcels["parcel_id"].astype(str),
        "class_code": _codes(verdicts.top, silent),
        "class_label": _names({c.code: c.label for c in classes}, verdicts.top, silent),
        "class_name": _names({c.code: c.name for c in classes}, verdicts.top, silent),
        "second_code": _codes(verdicts.second, silent | (verdicts.second == 0)),
        "purity": verdicts.purity,
        "entropy": verdicts.entropy,
        "valid_fraction": verdicts.valid_fraction,
        "pixels": verdicts.pixels,
        "area_m2": parcels["area_m2"],
        "overlap_share": parcels["overlap_share"],
        "decided_by": [UNIT_NAMES[unit] for unit in verdicts.unit],
        "reason": [text or None for text in verdicts.reason],
    }
    columns |= {f"p_{c.code}": verdicts.mean[:, k].astype(np.float32) for k, c in enumerate(classes)}
    seen = verdicts.mean.any(axis=1)
    place = {c.code: k for k, c in enumerate(classes)}
    for name, codes in shares.items():
        columns[name] = np.where(seen, verdicts.mean[:, [place[code] for code in codes]].sum(axis=1), np.nan)
    frame = pd.DataFrame(columns, index=parcels.index)
    return gpd.GeoDataFrame(frame, geometry=parcels.geometry, crs=parcels.crs)


def write_geoparquet(path: Path, table: gpd.GeoDataFrame) -> None:
    """Write GeoParquet 1.1 in the grid's CRS, with a bounding-box column that readers filter by."""
    table.to_parquet(
        path,
        index=False,
        compression="zstd",
        schema_version="1.1.0",
        write_covering_bbox=True,
        row_group_size=_ROW_GROUP,
    )


def write_geopackage(
    path: Path, table: gpd.GeoDataFrame, classes: tuple[MapClass, ...], *, title: str, created: datetime
) -> None:
    """Write a GeoPackage with the layer `parcels` and its QGIS style as default; `created` is its only date.

    Raises pyogrio's DataSourceError where the folder cannot be written.
    """
    path.unlink(missing_ok=True)
    parts = table.assign(geometry=_multi(table.geometry.to_numpy()))
    stamp = created.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": stamp})
    try:
        pyogrio.write_dataframe(
            parts, path, layer=PARCELS_LAYER, driver="GPKG", geometry_type="MultiPolygon",
            layer_options={"DESCRIPTION": title, "FID": "fid", "GEOMETRY_NAME": "geom"},
        )  # fmt: skip
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
    _add_style(path, classes, stamp)


def _add_style(path: Path, classes: tuple[MapClass, ...], stamp: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(_LAYER_STYLES)
        database.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, "
            "styleQML, styleSLD, useAsDefault, description, owner, update_time) "
            "VALUES ('', '', ?, 'geom', 'classes', ?, ?, 1, 'class colours', '', ?)",
            (PARCELS_LAYER, parcels_qml(classes), parcels_sld(classes), stamp),
        )
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', 'styles read by QGIS', ?)",
            (stamp,),
        )
        database.execute("UPDATE gpkg_contents SET last_change = ?", (stamp,))


def _multi(geometries: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return MultiPolygons only: a layer has one geometry type."""
    single = shapely.get_type_id(geometries) == shapely.GeometryType.POLYGON
    result = geometries.copy()
    for row in np.flatnonzero(single):
        whole = geometries[row]
        result[row] = MultiPolygon() if whole.is_empty else MultiPolygon([whole])
    return result


def _codes(codes: NDArray[np.uint8], missing: NDArray[np.bool_]) -> Any:
    return pd.arrays.IntegerArray(codes.astype(np.int16), missing.copy())


def _names(names: dict[int, str], codes: NDArray[np.uint8], missing: NDArray[np.bool_]) -> list[str | None]:
    return [None if gone else names[int(code)] for code, gone in zip(codes, missing, strict=True)]
