"""Requests of mixed sizes within the sample city: four in five of one block, the others of several."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from shapely.geometry import shape

# The side of the area as a share of the city's, and how often it is asked for.
_SIDES: Final = ((0.08, 0.5), (0.2, 0.3), (0.55, 0.15), (0.9, 0.05))
_DATES: Final = "2000-01-01/2100-01-01"


def bodies(sample: Path, *, seed: int = 5) -> Iterator[dict[str, Any]]:
    """Yield execute requests for ever, the same ones each time."""
    west, south, east, north = shape(json.loads((sample / "aoi.geojson").read_text())).bounds
    rng = np.random.default_rng(seed)
    shares, often = zip(*_SIDES, strict=True)
    while True:
        side = float(rng.choice(shares, p=often))
        x, y = (float(at) for at in rng.uniform(0.0, 1.0 - side, 2))
        left, low = west + x * (east - west), south + y * (north - south)
        bbox = [left, low, left + side * (east - west), low + side * (north - south)]
        stac = {"collection": "procedural-sentinel-2", "datetime": _DATES}
        yield {
            "inputs": {
                "aoi": {"bbox": [round(edge, 6) for edge in bbox]},
                "imagery": {"stac": stac},
                "outputs": ["map"],
            }
        }
