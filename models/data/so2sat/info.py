"""Says what a So2Sat file holds: its layout, its classes, which published part it is, and, if asked, its values."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from models.classes import LOCAL_CLIMATE_ZONES
from models.data.so2sat.dataset import BANDS, KEYS, SPLITS, Sensor, So2SatFile
from models.data.so2sat.geo import GeoFile
from models.data.so2sat.stream import stream


def describe(path: Path, *, geo: Path | None = None, scan: bool = False) -> dict[str, Any]:
    """Return the facts of a file as JSON values.

    Labels are all read; `scan` reads every patch too, in batches, and adds each band's mean, standard deviation,
    smallest and largest value. `geo` is the `*_geo.h5` file beside it, of which every place is checked. Raises
    BadDataset.
    """
    with So2SatFile(path) as file:
        counts = np.bincount(file.codes(), minlength=len(LOCAL_CLIMATE_ZONES) + 1)
        told: dict[str, Any] = {
            "file": path.name,
            "patches": len(file),
            "published_as": published_as(len(file)),
            "layout": {key: _layout(file.dataset(sensor)) for sensor, key in KEYS.items()},
            "classes": {c.label: int(counts[c.code]) for c in LOCAL_CLIMATE_ZONES},
        }
        if geo is not None:
            told["geolocation"] = _geolocation(geo, len(file))
        if scan:
            told["values"] = {sensor: statistics(file, sensor) for sensor in BANDS}
    return told


def published_as(patches: int) -> list[str]:
    """Return the published parts with this many patches, as "version part"."""
    return [f"{s.version} {part}" for s in SPLITS.values() for part, count in s.patches.items() if count == patches]


def statistics(file: So2SatFile, sensor: Sensor) -> dict[str, dict[str, float]]:
    """Return mean, std, min and max of each band over the whole file, read in batches."""
    count, mean, squares = 0, np.zeros(len(BANDS[sensor])), np.zeros(len(BANDS[sensor]))
    low, high = np.full_like(mean, np.inf), np.full_like(mean, -np.inf)
    for batch in stream(file, sensor, normalised=False):
        values = batch.patches
        n = values.shape[0] * values.shape[2] * values.shape[3]
        # Chan, Golub and LeVeque 1979: merging means and sums of squares of parts loses no digits.
        part = values.mean(axis=(0, 2, 3), dtype=np.float64)
        shift = part - mean
        squares += values.var(axis=(0, 2, 3), dtype=np.float64) * n + shift**2 * count * n / (count + n)
        mean += shift * n / (count + n)
        count += n
        low, high = np.minimum(low, values.min(axis=(0, 2, 3))), np.maximum(high, values.max(axis=(0, 2, 3)))
    rows = zip(BANDS[sensor], mean, np.sqrt(squares / count), low, high, strict=True)
    return {
        name: {"mean": float(m), "std": float(s), "min": float(least), "max": float(most)}
        for name, m, s, least, most in rows
    }


def _layout(dataset: Any) -> dict[str, Any]:
    return {
        "shape": list(dataset.shape),
        "type": str(dataset.dtype),
        "chunks": list(dataset.chunks) if dataset.chunks else None,
        "compression": dataset.compression,
        "bytes": int(dataset.id.get_storage_size()),
    }


def _geolocation(path: Path, patches: int) -> dict[str, Any]:
    with GeoFile(path, patches) as file:
        zones, cities = Counter[int](), Counter[str]()
        for place in file.places():
            zones[place.epsg] += 1
            if place.city is not None:
                cities[place.city] += 1
        return {
            "file": path.name,
            "schema": "coord, before 2026-03" if file.outdated else "city, since 2026-03",
            "outdated": file.outdated,
            "epsg": {str(code): count for code, count in sorted(zones.items())},
            "cities": dict(sorted(cities.items())),
        }
