"""Vector files sent and loaded as a job does it, through the real upload store and inspection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from pydantic import SecretStr
from pyproj import Transformer
from shapely.geometry import Polygon, box, mapping
from shapely.ops import transform

from jobs.area import Grid
from jobs.inspection import inspect_file
from jobs.request import Buildings, Parcels
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.uploads import UploadStore
from worker.parcels.vectors.buildings import building_chunks
from worker.parcels.vectors.sources import Loaded, load_parcels

GRID = Grid("EPSG:32633", 500_000.0, 5_501_000.0, 10.0, 100, 100)
AREA = box(*GRID.bounds)


class Desk:
    """An upload store in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(storage_url=f"file://{folder}/store", link_secret=SecretStr("s"))
        self.uploads = UploadStore(Storage(self.settings))

    def add(self, frame: gpd.GeoDataFrame, suffix: str) -> str:
        path = self.folder / f"sent{suffix}"
        path.unlink(missing_ok=True)
        if suffix == ".parquet":
            frame.to_parquet(path)
        else:
            frame.to_file(path)
        return self.send(path)

    def send(self, path: Path) -> str:
        found = inspect_file(path, path.name, self.settings)
        record = self.uploads.add(path, filename=path.name, kind=found.kind, suffix=found.suffix, facts=found.facts)
        return record.upload

    def parcels(self, grid: Grid = GRID, area: Polygon = AREA, **wanted: Any) -> Loaded:
        return load_parcels(Parcels(**wanted), grid, area, self.uploads, self.settings, self.folder)

    def buildings(self, **wanted: Any) -> Loaded:
        """All chunks of buildings as one frame."""
        chunks = building_chunks(Buildings(**wanted), GRID, AREA, self.uploads, self.settings, self.folder)
        frames = list(chunks)
        empty = gpd.GeoDataFrame({"geometry": [], "height": np.zeros(0)}, geometry="geometry", crs=GRID.crs)
        return Loaded(pd.concat(frames, ignore_index=True) if frames else empty, chunks.warnings)


def square(column: float, row: float, side: float = 100.0) -> Polygon:
    left, top = GRID.left + column * 100, GRID.top - row * 100
    return box(left, top - side, left + side, top)


def frame_of(*shapes: Any, **columns: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=list(shapes), crs=GRID.crs)


def feature(shape: Polygon, **properties: Any) -> dict[str, Any]:
    back = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True).transform
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": json.loads(json.dumps(mapping(transform(back, shape)))),
    }


def swapped(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return frame.set_geometry(frame.geometry.map(lambda shape: transform(lambda x, y: (y, x), shape)))
