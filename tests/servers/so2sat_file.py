"""Writes small files with the true schema of So2Sat LCZ42: patches and labels, and both schemas of geolocation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from models.data.so2sat.bands import S2_MEANS, S2_STDS

CITIES = ("berlin", "capetown", "munich")
EPSG = {"berlin": 32633, "capetown": 32734, "munich": 32632}


def patches(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw patches with the published reflectance statistics, speckled intensities with heavy tails, and labels."""
    draw = np.random.default_rng(seed)
    sen2 = np.clip(draw.normal(S2_MEANS, S2_STDS, (count, 32, 32, 10)), 1e-4, 2.8)
    sen1 = draw.normal(0.0, 0.3, (count, 32, 32, 8))
    sen1[..., 4:6] = draw.gamma(1.0, 0.1, (count, 32, 32, 2)) + 1e-5
    sen1[:, 5, 5, 5] = 5671.0
    return {"sen1": sen1, "sen2": sen2, "label": np.eye(17)[np.arange(count) % 17]}


def write_so2sat(
    path: Path,
    count: int = 40,
    *,
    chunk: int | None = 16,
    change: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> Path:
    """Write a file of `count` patches, chunked along them (contiguous for None); `change` may spoil it first."""
    arrays: dict[str, Any] = patches(count)
    if change is not None:
        change(arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            cut = (min(chunk, len(array)), *array.shape[1:]) if chunk and array.ndim > 1 and len(array) else None
            file.create_dataset(key, data=array, **({"chunks": cut} | options))
    return path


def write_geo(path: Path, count: int = 40, *, old: bool = False, **replaced: Any) -> Path:
    """Write a geolocation file: `old` as before 2026-03 (GDAL's order, `coord`), else A D B E C F and `city`."""
    city = [CITIES[k % 3] for k in range(count)]
    left, top = 300_000.0 + 100.0 * np.arange(count), 5_800_000.0 - 100.0 * np.arange(count)
    ten, nought = np.full(count, 10.0), np.zeros(count)
    arrays: dict[str, Any] = {"epsg": np.array([[EPSG[name]] for name in city], np.int64)}
    if old:
        arrays["tfw"] = np.stack([left, ten, nought, top, nought, ten], axis=1)
        arrays["coord"] = np.stack([left + 160, top - 160, nought, nought, nought, nought], axis=1)
    else:
        arrays["tfw"] = np.stack([ten, nought, nought, -ten, left, top], axis=1)
        arrays["city"] = np.array([[name.encode()] for name in city])
    arrays |= replaced
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            if array is not None:
                file[key] = array
    return path
