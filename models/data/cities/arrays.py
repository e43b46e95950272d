"""A city's ground cut into the windows networks see, and packed into one file that travels."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from models.data.cities.ground import CELL, CityGround, fill_gaps
from models.data.cities.vectors import BadCity

WINDOW: Final = 32
MARGIN: Final = 96  # pixels kept around known cells: enough for windows of 200 pixels
PACKED_SCALE: Final = 2_000  # steps of 0.0005 reflectance: below Sentinel-2's noise, and a third smaller than 10 000


@dataclass(frozen=True, slots=True)
class CityPatches:
    """Windows of n cells, float32: `reflectance` (n, season, band, w, w), `morphology` (n, 6, w, w), the rest alike."""

    reflectance: NDArray[np.float32]
    morphology: NDArray[np.float32]
    streets: NDArray[np.float32] | None
    landuse: NDArray[np.float32] | None


def patches(city: CityGround, cells: NDArray[np.integer[Any]], window: int = WINDOW, context: int = 0) -> CityPatches:
    """Cut windows centred on cells (n, 2): pixels [-11, 21) around a cell's upper-left one for the usual 32.

    `context` adds as many pixels on every side. Beyond the grid reflectance repeats its edge, all else is 0. Raises
    BadCity for an odd window or a cell off the lattice.
    """
    cells = np.asarray(cells).reshape(-1, 2)
    outside = (cells < 0) | (cells >= np.array(city.truth.shape))
    if window % 2 or window < CELL or context < 0 or outside.any():
        raise BadCity(f"windows are even and at least {CELL} px, cells inside {city.truth.shape}; not {window} px")
    size, before = window + 2 * context, (window - CELL) // 2 + context
    corners = np.array(city.lattice) + cells * CELL  # in the padded array a window starts here, `before` earlier
    height, width = city.valid.shape
    after = [max(0, int(corners[:, k].max(initial=0)) + size - before - most) for k, most in enumerate((height, width))]
    edges = ((before, after[0]), (before, after[1]))
    return CityPatches(
        reflectance=_windows(city.reflectance, corners, size, edges, "edge"),
        morphology=_windows(city.morphology, corners, size, edges, "constant"),
        streets=None if city.streets is None else _windows(city.streets, corners, size, edges, "constant"),
        landuse=None if city.landuse is None else _windows(city.landuse, corners, size, edges, "constant"),
    )


def _windows(
    layers: NDArray[np.float32], corners: NDArray[np.int64], size: int, edges: Any, mode: Any
) -> NDArray[np.float32]:
    padded = np.pad(layers, [(0, 0)] * (layers.ndim - 2) + list(edges), mode=mode)
    views = sliding_window_view(padded, (size, size), axis=(-2, -1))
    found = views[..., corners[:, 0], corners[:, 1], :, :]
    return np.ascontiguousarray(np.moveaxis(found, layers.ndim - 2, 0), dtype=np.float32)


def save_arrays(city: CityGround, path: Path) -> None:
    """Pack a city into a .npz: what lies farther than MARGIN pixels from a known cell is cut off or zeroed.

    Reflectance is stored as uint16 steps of 1 / PACKED_SCALE, shares and lengths as bytes or float16.
    """
    if not city.known.any():
        raise BadCity(f"{city.name} has no known cell; there is nothing to pack")
    rows, columns = _cropped_cells(city.known)
    top, left = (at + CELL * part.start for at, part in zip(city.lattice, (rows, columns), strict=True))
    up, west = min(top, MARGIN), min(left, MARGIN)
    pixels = (
        slice(top - up, city.lattice[0] + CELL * rows.stop + MARGIN),
        slice(left - west, city.lattice[1] + CELL * columns.stop + MARGIN),
    )
    near = _near(city)[pixels]
    seen = near & city.valid[pixels]
    arrays: dict[str, NDArray[Any]] = {
        "name": np.array(city.name),
        "crs": np.array(city.crs),
        "transform": np.array(_moved(city.transform, pixels[0].start, pixels[1].start)[:6]),
        "seasons": np.array(city.seasons),
        "reflectance": _packed(city.reflectance[..., *pixels] * seen, PACKED_SCALE, np.uint16),
        "valid": seen,
        "morphology": (city.morphology[:, *pixels] * near).astype(np.float16),
        "lattice": np.array((up, west)),
        "truth": city.truth[rows, columns],
        "known": city.known[rows, columns],
        "kilometre": city.kilometre[rows, columns],
    }
    for layer in ("streets", "landuse", "zoning"):
        whole = getattr(city, layer)
        if whole is not None:
            arrays[layer] = _packed(whole[:, *pixels] * near, _STEPS[layer], np.uint8)
    np.savez_compressed(path, allow_pickle=False, **arrays)


_STEPS: Final = {"streets": 20, "landuse": 100, "zoning": 100}


def load_arrays(path: Path) -> CityGround:
    """Read what `save_arrays` packed; raises BadCity for any other file."""
    try:
        with np.load(path, allow_pickle=False) as packed:
            arrays = {key: packed[key] for key in packed.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadCity(f"{path} is not a packed city: {error}") from error
    lacking = {"name", "transform", "reflectance", "valid", "morphology", "lattice", "truth", "known"} - set(arrays)
    if lacking:
        raise BadCity(f"{path} is not a packed city: it lacks {min(lacking)}")
    valid = arrays["valid"]
    layers = {
        key: arrays[key].astype(np.float32) / np.float32(step) if key in arrays else None
        for key, step in _STEPS.items()
    }
    return CityGround(
        name=str(arrays["name"]),
        crs=str(arrays["crs"]),
        transform=Affine(*arrays["transform"]),
        seasons=tuple(str(season) for season in arrays["seasons"]),
        reflectance=fill_gaps(arrays["reflectance"].astype(np.float32) / np.float32(PACKED_SCALE), valid),
        valid=valid,
        morphology=arrays["morphology"].astype(np.float32),
        streets=layers["streets"],
        landuse=layers["landuse"],
        zoning=layers["zoning"],
        lattice=(int(arrays["lattice"][0]), int(arrays["lattice"][1])),
        truth=arrays["truth"],
        known=arrays["known"],
        kilometre=arrays["kilometre"],
    )


def _moved(transform: Affine, rows: int, columns: int) -> Affine:
    left, top = transform.c + columns * transform.a, transform.f + rows * transform.e
    return Affine(transform.a, 0.0, left, 0.0, transform.e, top)


def _cropped_cells(known: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _near(city: CityGround) -> NDArray[np.bool_]:
    """Return which pixels (y, x) lie within MARGIN of a known cell."""
    known = np.zeros(city.valid.shape, dtype=bool)
    row, column = city.lattice
    wide = np.kron(city.known, np.ones((CELL, CELL), dtype=bool))
    part = known[row : row + wide.shape[0], column : column + wide.shape[1]]
    part[:] = wide[: part.shape[0], : part.shape[1]]
    reach: NDArray[np.bool_] = maximum_filter(known, size=2 * MARGIN + 1, mode="constant")
    return reach


def _packed(layers: NDArray[np.float32], steps: int, kind: Any) -> NDArray[Any]:
    return np.clip(np.rint(layers * steps), 0, np.iinfo(kind).max).astype(kind)
