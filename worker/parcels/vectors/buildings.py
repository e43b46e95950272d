"""Buildings as clients bring them: footprints near the area of interest with their heights, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from jobs.area import Grid
from jobs.errors import BadVector
from jobs.record import Warned
from jobs.request import Buildings
from jobs.settings import Settings
from jobs.uploads import UploadStore
from models.errors import Fault
from worker.parcels.vectors.nearby import Nearby, meets
from worker.parcels.vectors.uploaded import Chunks, Upload

# Buildings this far outside the grid still count into the morphology windows of its border pixels.
BUILDING_MARGIN_METRES: Final = 500.0
TALLEST_METRES: Final = 1000.0


def building_chunks(  # noqa: PLR0917 - where to look goes with what to look for
    wanted: Buildings, grid: Grid, area: BaseGeometry, uploads: UploadStore, settings: Settings, scratch: Path
) -> BuildingChunks:
    """Return footprints near `area`, to be read once, chunk by chunk, whatever the size of the file.

    Buildings up to 500 m outside the area's bounds are kept, as windows of border pixels see them. None left is a
    warning, not an error. Raises BadVector naming the numeric fields there are if `height_field` is not one of them.
    """
    source = Upload(wanted.upload, wanted.layer, "/inputs/buildings", uploads, scratch)
    heights = _Heights(source.reader([wanted.height_field]), wanted.height_field)
    margin = BUILDING_MARGIN_METRES
    left, bottom, right, top = area.bounds
    around = left - margin, bottom - margin, right + margin, top + margin
    near = Nearby(
        heights.read, grid, area, "buildings", lambda shapes: meets(shapely.bounds(shapes), around),
        reach=margin, most=settings.max_features,
    )  # fmt: skip
    return BuildingChunks(near, heights)


class BuildingChunks:
    """Iterates once over footprints: frames in the grid's CRS of geometry and height (metres, NaN where unknown).

    Once all was read, `count` is how many there were, `bounds` is what they span (left, bottom, right, top in the
    grid's CRS; None without any) and `warnings` is what the client should know.
    """

    def __init__(self, near: Nearby, heights: _Heights) -> None:
        self._near, self._heights = near, heights
        self.count = 0
        self.bounds: tuple[float, float, float, float] | None = None
        self.warnings: tuple[Warned, ...] = ()

    def __iter__(self) -> Iterator[gpd.GeoDataFrame]:
        """Yield the frames; raises BadVector where there is no polygon or no height that is a number."""
        for frame in self._near:
            left, bottom, right, top = (float(v) for v in frame.total_bounds)
            known = self.bounds or (left, bottom, right, top)
            self.bounds = min(known[0], left), min(known[1], bottom), max(known[2], right), max(known[3], top)
            self.count += len(frame)
            yield frame.reset_index(drop=True)
        self.warnings = (*self._heights.warnings, *self._near.warnings)
        if not self.count:
            text = "no building lies near the area of interest: the map was made from imagery alone"
            self.warnings += (Warned(code="no-buildings", detail=text),)


class _Heights:
    """Turns a column into heights while a file is read, and counts those that are none."""

    def __init__(self, read: Callable[[], Chunks], field: str) -> None:
        self._read, self._field = read, field
        self._values = self._numbers = self._bad = 0

    def read(self) -> Chunks:
        """Yield frames of geometry and height; raises BadVector at the end if no value was a number."""
        self._values = self._numbers = self._bad = 0
        for frame in self._read():
            yield gpd.GeoDataFrame({"geometry": frame.geometry, "height": self._known(frame[self._field])})
        if self._values and not self._numbers:
            detail = f"no value of {self._field!r} is a number; a height in metres is expected"
            raise BadVector(detail, faults=[Fault("/inputs/buildings/height_field", detail)])

    @property
    def warnings(self) -> tuple[Warned, ...]:
        """What there is to tell of the heights read last."""
        if not self._bad:
            return ()
        text = f"{self._bad} of {self._values} heights are negative, above {TALLEST_METRES:g} m or no numbers; ignored"
        return (Warned(code="bad-heights", detail=text),)

    def _known(self, column: pd.Series[Any]) -> NDArray[np.float64]:
        values = np.asarray(pd.to_numeric(column, errors="coerce"), dtype=float)
        bad = np.asarray(column.notna()) & ~((values >= 0) & (values <= TALLEST_METRES))
        self._values += len(values)
        self._numbers += int(np.isfinite(values).sum())
        self._bad += int(bad.sum())
        return np.where(bad, np.nan, values)
