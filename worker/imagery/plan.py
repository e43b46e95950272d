"""The frozen choice of imagery a job is mapped from: which files, which bands, which scale and offset, and why."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from jobs.area import Grid
from jobs.record import Warned


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BandRead(_Frozen):
    """One band of a file (index from 1) as a card's band: reflectance = number * scale + offset."""

    band: str
    index: int
    scale: float
    offset: float


class FileRead(_Frozen):
    """A file and what is read of it. Exactly one of `upload` and `href`; `why` says how scale and offset were decided.

    `nodata` is a number that means no data whatever the file's own header says; None leaves it to the header.
    """

    upload: str | None = None
    href: str | None = None
    bands: tuple[BandRead, ...]
    nodata: float | None = None
    why: str


class Layer(_Frozen):
    """Files that together hold every band of the card over one footprint; `classification` is its SCL, if any.

    Where several files hold the same band, the first that is valid wins, pixel by pixel.
    """

    id: str
    files: tuple[FileRead, ...]
    classification: FileRead | None = None


class Stack(_Frozen):
    """One image in time: layers, of which the first that is valid wins, pixel by pixel."""

    id: str
    datetime: str | None
    layers: tuple[Layer, ...]


class SceneRecord(_Frozen):
    """A STAC item that is used: for `derived_from`, and for what the factsheet says of the offset."""

    id: str
    href: str | None
    collection: str | None
    datetime: str
    cloud_cover: float | None
    clear: float
    scale: float
    offset: float
    why: str


class ImageryPlan(_Frozen):
    """plan.json["imagery"]. The image is the median of the stacks, pixel by pixel, over the job's grid.

    `grid` is the record of a jobs.area.Grid, `area` the GeoJSON geometry that is mapped (lon/lat), `bands` the card's.
    """

    source: Literal["stac", "uploads"]
    grid: dict[str, Any]
    area: dict[str, Any]
    km2: float
    bands: tuple[str, ...]
    stacks: tuple[Stack, ...]
    scenes: tuple[SceneRecord, ...] = ()
    catalogue: str | None = None
    coverage: float
    provenance: str
    attribution: str
    warnings: tuple[Warned, ...] = ()

    @property
    def pixel_grid(self) -> Grid:
        """The grid as an object."""
        return Grid(**self.grid)
