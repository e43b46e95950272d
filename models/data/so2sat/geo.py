"""Where So2Sat patches lie: the `*_geo.h5` files of version 4, in the schema until 2026-03 and in the one since.

Both hold `epsg` (N, 1) and `tfw` (N, 6); older files add `coord` (N, 6), newer ones `city` (N, 1) and corrected EPSG
codes. `tfw` is the transform of the patch, its origin the outer corner of the upper-left pixel (not the pixel's centre,
as in a true world file), in one of two orders: A D B E C F, or as GDAL orders them, C A B F D E; the sign of the row
step varies. Patches are north up.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from affine import Affine

from models.data.so2sat.dataset import PIXEL_METRES, SIDE, BadDataset, dataset_of, open_hdf5, reading_hdf5

log = logging.getLogger(__name__)

TOLERANCE: Final = 0.05
"""How far the pixel size may be from 10 m, as a share."""
_UTM_NORTH: Final = range(32601, 32661)
_UTM_SOUTH: Final = range(32701, 32761)
_EASTINGS: Final = (100_000.0, 900_000.0)
_NORTHINGS: Final = (0.0, 10_000_000.0)
_ROTATION: Final = 1e-6
_PARAMETERS: Final = 6
_BLOCK: Final = 8192
OUTDATED: Final = "its EPSG codes are those before the correction of 2026-03, wrong for some cities; fetch the new file"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one patch lies: its UTM zone, the transform of its pixels, and its city where the file names it."""

    epsg: int
    transform: Affine
    city: str | None


class GeoFile:
    """The geolocation beside one part of the data set; a context manager.

    Raises BadDataset where keys or shapes are wrong, or where it has another length than the patches: then nothing in
    it can be trusted to be in their order.
    """

    def __init__(self, path: Path, patches: int) -> None:
        self.path, self.patches = path, patches
        self._file = open_hdf5(path)
        try:
            self.outdated = self._check(patches)
        except BaseException:
            self._file.close()
            raise
        if self.outdated:
            log.warning("%s: %s", path.name, OUTDATED)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def place(self, index: int) -> Place:
        """Return where a patch lies; raises BadDataset for a place that cannot be: pixel size, zone or position."""
        if not 0 <= index < self.patches:
            msg = f"{self.path.name} places the patches 0 to {self.patches - 1}; there is no {index}"
            raise BadDataset(msg)
        return self._read(index, index + 1)[0]

    def places(self) -> Iterator[Place]:
        """Yield where each patch lies, in order, reading some thousands at once; raises as `place` does."""
        for start in range(0, self.patches, _BLOCK):
            yield from self._read(start, min(start + _BLOCK, self.patches))

    def _read(self, start: int, stop: int) -> list[Place]:
        with reading_hdf5(self.path):
            steps = self._file["tfw"][start:stop].reshape(-1, _PARAMETERS).tolist()
            zones = self._file["epsg"][start:stop].ravel().tolist()
            named = self._city_key()
            cities = self._file[named][start:stop].ravel().tolist() if named else [None] * len(zones)
        rows = enumerate(zip(steps, zones, cities, strict=True), start)
        return [self._place(index, told, epsg, city) for index, (told, epsg, city) in rows]

    def _place(self, index: int, told: list[float], epsg: float, city: Any) -> Place:
        transform = self._transform(index, told)
        if epsg not in _UTM_NORTH and epsg not in _UTM_SOUTH:
            raise self._wrong(index, f"the EPSG code {epsg:g} is no UTM zone")
        centre = (transform.c + transform.a * SIDE / 2, transform.f + transform.e * SIDE / 2)
        for value, (low, high) in zip(centre, (_EASTINGS, _NORTHINGS), strict=True):
            if not low <= value <= high:
                raise self._wrong(index, f"{value:.0f} m is outside every UTM zone")
        name = city.decode("utf-8", "replace") if isinstance(city, bytes) else city
        return Place(int(epsg), transform, None if name is None else str(name).strip())

    def _check(self, patches: int) -> bool:
        """Check keys and lengths; return whether the file is of the older schema."""
        named = self._city_key()
        if named is None and "coord" not in self._file:
            msg = (
                f"{self.path.name} has neither 'city' (files since 2026-03) nor 'coord' (before), only "
                f"{', '.join(sorted(self._file)) or 'nothing'}"
            )
            raise BadDataset(msg)
        wanted = {"epsg": (1, "iuf"), "tfw": (_PARAMETERS, "iuf")} | ({named: (1, "SO")} if named else {})
        for key, (width, kinds) in wanted.items():
            found = dataset_of(self._file, key, self.path)
            if found.shape[0] != patches:
                msg = f"{key} in {self.path.name} has {found.shape[0]} rows, but there are {patches} patches: "
                raise BadDataset(msg + "it belongs to other patches")
            if found.dtype.kind not in kinds or math.prod(found.shape[1:]) != width:
                what = "numbers" if "f" in kinds else "names"
                msg = f"{key} in {self.path.name} is {found.dtype} {found.shape}; {what} (N, {width}) were expected"
                raise BadDataset(msg)
        return named is None

    def _city_key(self) -> str | None:
        return next((key for key in ("city", "cityList") if key in self._file), None)

    def _transform(self, index: int, told: list[float]) -> Affine:
        if not all(map(math.isfinite, told)):
            raise self._wrong(index, "its transform holds NaN or infinity")
        # Steps are some 10 m and eastings hundreds of kilometres, so the two orders cannot be mistaken.
        if abs(told[0]) < _EASTINGS[0] / 2:
            a, d, b, e, c, f = told
        else:
            c, a, b, f, d, e = told
        if not _is_step(a) or not _is_step(e):
            raise self._wrong(index, f"its pixels are {a:g} x {e:g} m; 10 m +- {TOLERANCE:.0%} were expected")
        if max(abs(b), abs(d)) > _ROTATION:
            raise self._wrong(index, "it is rotated; patches are north up")
        return Affine(abs(a), 0.0, c, 0.0, -abs(e), f)

    def _wrong(self, index: int, told: str) -> BadDataset:
        return BadDataset(f"{self.path.name} cannot place patch {index}: {told}")


def _is_step(value: float) -> bool:
    return abs(abs(value) - PIXEL_METRES) <= TOLERANCE * PIXEL_METRES
