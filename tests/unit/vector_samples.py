"""Small vector files of the tests of inspection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
from shapely.geometry import box

from jobs.settings import Settings

SETTINGS = Settings()


def frame(crs: str | None = "EPSG:32632") -> geopandas.GeoDataFrame:
    squares = [box(6e5 + 100 * i, 53e5, 6e5 + 100 * i + 80, 53e5 + 80) for i in range(5)]
    return geopandas.GeoDataFrame({"name": list("abcde"), "floors": range(5)}, geometry=squares, crs=crs)


def collection(**extra: Any) -> dict[str, Any]:
    square = [[11.0, 48.0], [11.1, 48.0], [11.1, 48.1], [11.0, 48.0]]
    feature = {
        "type": "Feature",
        "properties": {"id": 1, "tags": ["x"]},
        "geometry": {"type": "Polygon", "coordinates": [square]},
    }
    return {"type": "FeatureCollection", "features": [feature], **extra}


def put(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path
