"""So2Sat LCZ42 as its authors published it: the schema of its HDF5 files, its splits, and checked access to patches.

Zhu et al. 2020, So2Sat LCZ42: A Benchmark Data Set for the Classification of Global Local Climate Zones, IEEE
Geoscience and Remote Sensing Magazine 8(3), 76-89. Versions 1 to 4 share one schema: `sen1` (N, 32, 32, 8), `sen2`
(N, 32, 32, 10) and `label` (N, 17), all floating point, patches as (y, x, band), labels one-hot. `training.h5` holds
50 GB, so nothing here reads a data set as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from models.classes import LOCAL_CLIMATE_ZONES, MapClass, so2sat_code
from models.errors import CityzonesError

Sensor = Literal["s1", "s2"]

SIDE: Final = 32
"""Pixels of a patch's side."""
PIXEL_METRES: Final = 10.0
KEYS: Final[dict[Sensor, str]] = {"s1": "sen1", "s2": "sen2"}
BANDS: Final[dict[Sensor, tuple[str, ...]]] = {
    "s1": (
        *("VH real", "VH imaginary", "VV real", "VV imaginary"),
        *("VH intensity, Lee-filtered", "VV intensity, Lee-filtered"),
        *("covariance VH-VV real, Lee-filtered", "covariance VH-VV imaginary, Lee-filtered"),
    ),
    "s2": ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
}
LICENCE: Final = "CC BY 4.0"
CITATION: Final = "Zhu et al. 2020, So2Sat LCZ42, IEEE Geoscience and Remote Sensing Magazine 8(3), 76-89"
_LABEL_ROWS: Final = 65_536


class BadDataset(CityzonesError):
    """A file is not the data set it should be: a key, a shape, a value or its geolocation is wrong."""

    code = "bad-dataset"


@dataclass(frozen=True, slots=True)
class Split:
    """One published way to divide the data: which file, below the version's folder, holds which part."""

    version: str
    told: str
    files: dict[str, str]
    patches: dict[str, int]


_CULTURE_10: Final = {"training": 352_366, "validation": 24_119, "testing": 24_188}
_THREE: Final = {part: f"{part}.h5" for part in _CULTURE_10}
SPLITS: Final[dict[str, Split]] = {
    "1": Split(
        "1",
        "42 cities; western halves of ten others for validation",
        {part: _THREE[part] for part in ("training", "validation")},
        {part: _CULTURE_10[part] for part in ("training", "validation")},
    ),
    "2": Split("2", "as 1, and the ten cities' eastern halves for testing", _THREE, _CULTURE_10),
    "3-random": Split(
        "3-random",
        "every city 80 % / 20 %, drawn at random: neighbours overlap, so scores are flattered",
        {"training": "random/training.h5", "testing": "random/testing.h5"},
        {},
    ),
    "3-block": Split(
        "3-block",
        "every city 80 % / 20 % by area",
        {"training": "block/training.h5", "testing": "block/testing.h5"},
        {},
    ),
    "3-culture-10": Split(
        "3-culture-10",
        "ten cities of different cultural zones held back",
        {"training": "culture_10/training.h5", "testing": "culture_10/testing.h5"},
        {},
    ),
    "4": Split("4", "as 2, with geolocation beside every part (*_geo.h5)", _THREE, _CULTURE_10),
}


def split_file(root: Path, version: str, part: str) -> Path:
    """Return where a part of a published split lies below `root`; raises BadDataset naming what there is."""
    if version not in SPLITS:
        msg = f"there is no split {version!r} of So2Sat LCZ42; choose one of {', '.join(SPLITS)}"
        raise BadDataset(msg)
    files = SPLITS[version].files
    if part not in files:
        msg = f"split {version} has no part {part!r}, only {', '.join(files)}"
        raise BadDataset(msg)
    return root / files[part]


def class_of(index: int) -> MapClass:
    """Return the class of a one-hot index 0-16 (LCZ 1-10, then A-G)."""
    return LOCAL_CLIMATE_ZONES[so2sat_code(index) - 1]


class So2SatFile:
    """One part of the data set, checked on opening: its keys, shapes and types, but not yet its 50 GB of values.

    Use as a context manager. Raises BadDataset with what is wrong and what was expected.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_hdf5(path)
        try:
            self.patches = self._check()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; harmless when it is closed."""
        self._file.close()

    def __len__(self) -> int:
        return self.patches

    def dataset(self, sensor: Sensor) -> Any:
        """Return the HDF5 data set (n, y, x, band) of a sensor, unread."""
        return self._file[KEYS[sensor]]

    def patch(self, index: int, sensor: Sensor = "s2") -> NDArray[np.float32]:
        """Read one patch as (band, y, x); raises BadDataset for an index outside or values that are not finite."""
        if not 0 <= index < self.patches:
            msg = f"{self.path.name} has the patches 0 to {self.patches - 1}; there is no {index}"
            raise BadDataset(msg)
        with reading_hdf5(self.path):
            read = self.dataset(sensor)[index]
        if not np.isfinite(read).all():
            raise self.not_finite(sensor, index)
        return np.ascontiguousarray(read.transpose(2, 0, 1), dtype=np.float32)

    def code(self, index: int) -> int:
        """Return the raster code 1-17 of one patch."""
        return int(self._codes(index, index + 1)[0])

    def codes(self) -> NDArray[np.uint8]:
        """Return the raster codes 1-17 of all patches, (n,), read in parts; BadDataset where a row is not one-hot."""
        parts = [self._codes(a, min(a + _LABEL_ROWS, self.patches)) for a in range(0, self.patches, _LABEL_ROWS)]
        return np.concatenate(parts)

    def not_finite(self, sensor: Sensor, index: int) -> BadDataset:
        """Return the error for a patch with NaN or infinity."""
        return BadDataset(
            f"patch {index} of {KEYS[sensor]} in {self.path.name} holds NaN or infinity; leave it out, or fetch the "
            "file again"
        )

    def _codes(self, start: int, stop: int) -> NDArray[np.uint8]:
        with reading_hdf5(self.path):
            rows = self._file["label"][start:stop]
        hot = ((rows == 1).sum(axis=1) == 1) & ((rows == 0).sum(axis=1) == len(LOCAL_CLIMATE_ZONES) - 1)
        if not hot.all():
            index = start + int(np.argmin(hot))
            msg = f"the label of patch {index} in {self.path.name} is not one-hot: one 1 and sixteen 0 were expected"
            raise BadDataset(msg)
        codes: NDArray[np.uint8] = (rows.argmax(axis=1) + 1).astype(np.uint8)
        return codes

    def _check(self) -> int:
        lengths = {}
        for key, tail in _tails():
            found = dataset_of(self._file, key, self.path)
            if found.shape[1:] != tail or found.dtype.kind != "f":
                msg = (
                    f"{key} in {self.path.name} is {found.dtype} {found.shape}; floating point (N, "
                    f"{', '.join(map(str, tail))}) was expected"
                )
                raise BadDataset(msg)
            lengths[key] = int(found.shape[0])
        if len(set(lengths.values())) > 1:
            msg = f"{self.path.name} has parts of different lengths: {lengths}"
            raise BadDataset(msg)
        if not lengths["label"]:
            msg = f"{self.path.name} holds no patches"
            raise BadDataset(msg)
        return lengths["label"]


def _tails() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield every key and the shape of one of its rows."""
    for sensor, key in KEYS.items():
        yield key, (SIDE, SIDE, len(BANDS[sensor]))
    yield "label", (len(LOCAL_CLIMATE_ZONES),)


@contextmanager
def reading_hdf5(path: Path) -> Iterator[None]:
    """Turn what h5py raises over a damaged file into a BadDataset."""
    try:
        yield
    except (OSError, RuntimeError, KeyError) as error:
        msg = f"{path.name} is damaged and cannot be read ({error}); fetch it again"
        raise BadDataset(msg) from error


def open_hdf5(path: Path) -> Any:
    """Open an HDF5 file for reading; raises BadDataset where there is none."""
    if not path.is_file():
        msg = f"there is no file {path}"
        raise BadDataset(msg)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        msg = f"{path.name} is not a whole HDF5 file ({error}); unpack it, or fetch it again"
        raise BadDataset(msg) from error


def dataset_of(file: Any, key: str, path: Path) -> Any:
    """Return a data set of an open file; raises BadDataset naming the keys there are."""
    with reading_hdf5(path):
        found = file.get(key)
    if not isinstance(found, h5py.Dataset):
        msg = f"{path.name} has no data set {key!r}, only {', '.join(sorted(file)) or 'nothing'}"
        raise BadDataset(msg)
    if not found.shape:
        msg = f"{key} in {path.name} is a single value, not a row per patch"
        raise BadDataset(msg)
    return found
