"""The job's grid over uploaded images: the image's own pixels where they fit the model, a UTM grid where not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from pyproj import CRS
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from jobs.area import WGS84, Area, Grid, project, utm_grid
from jobs.errors import BadImage
from jobs.record import Warned
from models.cards import Card
from models.errors import Fault
from worker.imagery.sampling import same_crs

_TOLERANCE: Final = 0.05
_MOST_DRIFT: Final = 0.5
_ROUNDING: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Footprint:
    """Where a file's pixels lie: CRS, affine coefficients (a, b, c, d, e, f), columns and rows."""

    crs: str
    transform: tuple[float, ...]
    width: int
    height: int

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in the file's CRS."""
        across, _, left, _, down, top = self.transform
        return left, top + down * self.height, left + across * self.width, top

    @property
    def lonlat(self) -> BaseGeometry:
        """The outline in longitude/latitude."""
        return self.outline("EPSG:4326")

    def outline(self, crs: str) -> BaseGeometry:
        """Return the outline in another CRS; raises BadImage for one that reaches beyond the Earth."""
        outline = project(box(*self.bounds), crs, source=self.crs)
        if not np.isfinite(shapely.get_coordinates(outline)).all():
            raise BadImage("an image reaches beyond what its coordinate reference system can place: check its CRS")
        return outline

    @property
    def side(self) -> float:
        """The side of a square pixel of the same area, in units of the CRS."""
        return math.sqrt(-self.transform[0] * self.transform[4])

    def drift(self) -> float:
        """Return by how many pixels a grid of square pixels is off at the file's far edge."""
        across, down = abs(self.transform[0] / self.side - 1), abs(-self.transform[4] / self.side - 1)
        return max(across * self.width, down * self.height)

    def ground(self) -> tuple[float, float]:
        """Return the width and height in metres, on the ground, of the pixel in the file's middle."""
        across, _, left, _, down, top = self.transform
        x, y = left + across * (self.width // 2), top + down * (self.height // 2)
        corners = project(box(x, y + down, x + across, y), "EPSG:4326", source=self.crs).bounds
        west, south, east, north = corners
        return WGS84.line_length([west, east], [south, south]), WGS84.line_length([west, west], [south, north])


def choose_grid(files: Sequence[Footprint], card: Card, area: Area | None, mapped: Area) -> Grid:
    """Return the grid a job is mapped on; `mapped` is the part of the area that imagery covers.

    The pixel grid of the first file that is metric, north-up and within 5 % of the card's resolution, cut to whole
    scene cells around the area; else that of files which are all alike, and whose pixels the card takes; else the UTM
    grid of the area at the card's resolution.
    """
    native = next((f for f in files if is_native(f, card)), None) or _alike(files, card)
    if native is None:
        return utm_grid(area or mapped, card.input.resolution)
    if area is None:
        alike = [f for f in files if same_crs(f.crs, native.crs)]
        bounds = [f.bounds for f in alike]
        extent = (
            min(b[0] for b in bounds),
            min(b[1] for b in bounds),
            max(b[2] for b in bounds),
            max(b[3] for b in bounds),
        )
    else:
        extent = project(mapped.geometry, native.crs).bounds
    return _cut(native, extent, card.geometry.scene)


def is_native(file: Footprint, card: Card) -> bool:
    """Whether a file's own pixels can be the job's grid: metric, square, and of the card's resolution on the ground."""
    return _metric(file, card.input.resolution) and abs(file.side / card.input.resolution - 1) <= _TOLERANCE


def check_pixels(files: Mapping[str, Footprint], card: Card, pointer: str) -> list[Warned]:
    """Return a warning for files, by name, that are coarser than the card maps as they are; raises BadImage beyond.

    Cards that do not say how coarse is too coarse take every file. `pointer` is where the request names the files.
    """
    coarsest, warnings = card.input.coarsest, []
    for name, file in files.items() if coarsest else ():
        pixel = math.sqrt(math.prod(file.ground()))
        told = f"{name} has pixels of {pixel:.3g} m; {card.id} was trained on {card.input.resolution:g} m"
        if coarsest and pixel > coarsest * card.input.resolution * (1 + _TOLERANCE):
            msg = f"{told} and maps up to {coarsest * card.input.resolution:g} m: send a finer image"
            raise BadImage(msg, faults=[Fault(pointer, f"pixels of {pixel:.3g} m")])
        if pixel > card.input.own_pixels[1] * card.input.resolution * (1 + _TOLERANCE):
            warnings.append(Warned(code="image-coarse", detail=f"{told}: expect less than the card says"))
    return warnings


def _alike(files: Sequence[Footprint], card: Card) -> Footprint | None:
    """Return the first of files with one CRS and size of pixels, where the card maps these as they are."""
    first = files[0]
    least, most = (share * card.input.resolution for share in card.input.own_pixels)
    same = all(same_crs(f.crs, first.crs) and abs(f.side / first.side - 1) <= _ROUNDING for f in files)
    return first if same and least <= first.side <= most and _metric(first, first.side) else None


def _metric(file: Footprint, metres: float) -> bool:
    """Whether a file's pixels are square, north-up in a projected CRS, and so many metres on the ground."""
    crs = CRS.from_user_input(file.crs)
    metric = crs.is_projected and all(a.unit_conversion_factor == 1 for a in crs.axis_info[:2])
    if not metric or file.drift() > _MOST_DRIFT:
        return False
    # A pixel of 10 "metres" in Web Mercator is 6.4 m wide in Paris: the ground decides, not the unit's name.
    return all(abs(side / metres - 1) <= _TOLERANCE for side in file.ground())


def _cut(file: Footprint, extent: tuple[float, float, float, float], cell: int) -> Grid:
    """Cut the file's pixel grid to an extent, in whole cells of pixels; moved back into the file where it can be."""
    side, (left, _, _, top) = file.side, file.bounds
    first_column, columns = _span((extent[0] - left) / side, (extent[2] - left) / side, cell, file.width)
    first_row, rows = _span((top - extent[3]) / side, (top - extent[1]) / side, cell, file.height)
    return Grid(file.crs, left + first_column * side, top - first_row * side, side, columns, rows)


def _span(start: float, stop: float, cell: int, size: int) -> tuple[int, int]:
    """Return the first pixel and the number of pixels, a multiple of `cell`, of an interval in pixels of a file."""
    rounding = 1e-6
    first, last = math.floor(start + rounding), math.ceil(stop - rounding)
    number = max(cell, math.ceil((last - first) / cell) * cell)
    inside = first >= 0 and last <= size and number <= size
    return (min(first, size - number) if inside else first), number
