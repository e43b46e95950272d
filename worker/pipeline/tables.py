"""The tables that planning keeps for the steps after it: parcels, buildings, reference data."""

from __future__ import annotations

import io
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas as gpd

from worker.context import Context


def write_frame(context: Context, key: str, frame: gpd.GeoDataFrame) -> None:
    """Keep a table as GeoParquet."""
    with TemporaryDirectory(dir=context.desk) as folder:
        path = Path(folder) / "table.parquet"
        frame.to_parquet(path, index=False, compression="zstd")
        context.storage.put(key, path)


def read_frame(context: Context, key: str) -> gpd.GeoDataFrame:
    """Read a table that planning wrote."""
    data = context.storage.get(key)
    if data is None:
        msg = f"{key} is missing although the plan names it"
        raise RuntimeError(msg)
    return gpd.read_parquet(io.BytesIO(data))
