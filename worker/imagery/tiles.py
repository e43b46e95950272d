"""Several uploaded files as one image: where all bands are, where files overlap or leave gaps, and how they differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import shapely
from shapely.geometry.base import BaseGeometry

from jobs.area import Grid, project
from jobs.record import Warned
from models.cards import Card
from worker.imagery.grids import Footprint
from worker.imagery.plan import Layer
from worker.imagery.sampling import same_crs

# Less than a thousandth of an area is rounding.
ROUNDING: Final = 1e-3
_ALIKE: Final = 0.05


def covered(layers: Sequence[Layer], outlines: Mapping[str, BaseGeometry], card: Card) -> BaseGeometry:
    """Return where every band is: each layer's files may hold different bands over different extents.

    `outlines` are the files' by upload, in any one CRS, which is also the answer's.
    """
    found = [
        shapely.intersection_all([shapely.union_all(_holding(band, [layer], outlines)) for band in card.input.bands])
        for layer in layers
    ]
    return shapely.union_all(found)


def partly_covered(share: float) -> list[Warned]:
    """Return a warning where imagery covers less than all (1) of the area of interest."""
    if share >= 1 - ROUNDING:
        return []
    detail = f"imagery covers {100 * share:.1f} % of the area of interest; the rest is left without data"
    return [Warned(code="partial-coverage", detail=detail)]


def tile_warnings(
    layers: Sequence[Layer], files: Mapping[str, Footprint], card: Card, grid: Grid, area: BaseGeometry | None
) -> list[Warned]:
    """Return what a client should know of files that cover an area together; nothing for a file alone.

    `files` are footprints by upload, `area` is the area of interest in longitude/latitude, if there is one.
    """
    if len(files) == 1:
        return []
    outlines = {upload: f.outline(grid.crs) for upload, f in files.items()}
    whole = covered(layers, outlines, card)
    asked = None if area is None else project(area, grid.crs)
    mapped = whole if asked is None else whole.intersection(asked)
    twice = shapely.union_all([_twice(_holding(band, layers, outlines)) for band in card.input.bands])
    hull = whole.convex_hull if asked is None else whole.convex_hull.intersection(asked)
    return [
        *_overlap(_share(twice.intersection(mapped), mapped)),
        *_gap(_share(hull.difference(whole), hull)),
        *_unlike(layers, files, grid),
    ]


def _holding(band: str, layers: Sequence[Layer], outlines: Mapping[str, BaseGeometry]) -> list[BaseGeometry]:
    return [outlines[f.upload or ""] for layer in layers for f in layer.files if any(b.band == band for b in f.bands)]


def _twice(outlines: Sequence[BaseGeometry]) -> BaseGeometry:
    """Return what lies in two outlines or more."""
    once: BaseGeometry = shapely.Polygon()
    twice: BaseGeometry = shapely.Polygon()
    for outline in outlines:
        twice = twice.union(once.intersection(outline))
        once = once.union(outline)
    return twice


def _share(part: BaseGeometry, whole: BaseGeometry) -> float:
    return float(part.area / whole.area) if whole.area else 0.0


def _overlap(share: float) -> list[Warned]:
    if share < ROUNDING:
        return []
    detail = (
        f"{100 * share:.1f} % of the mapped area is covered by more than one file; there the first of "
        "imagery.uploads that has a valid pixel is taken"
    )
    return [Warned(code="tiles-overlap", detail=detail)]


def _gap(share: float) -> list[Warned]:
    if share < ROUNDING:
        return []
    detail = f"{100 * share:.1f} % of the area that the files enclose together is covered by none of them"
    return [Warned(code="tiles-leave-gaps", detail=detail)]


def _pixel(file: Footprint, grid: Grid) -> float:
    """Return the side of a square as large as a file's pixel in the grid's CRS."""
    return math.sqrt(file.outline(grid.crs).area / (file.width * file.height))


def _unlike(layers: Sequence[Layer], files: Mapping[str, Footprint], grid: Grid) -> list[Warned]:
    """Say in which ways whole images differ that lie side by side; files of single bands differ by nature."""
    uploads = [layer.files[0].upload or "" for layer in layers if len(layer.files) == 1]
    if len(uploads) < len(layers) or len(layers) == 1:
        return []
    moved = sum(not same_crs(files[u].crs, grid.crs) for u in uploads)
    scaled = sum(abs(_pixel(files[u], grid) / grid.resolution - 1) > _ALIKE for u in uploads)
    numbers = {tuple((b.scale, b.offset) for b in layer.files[0].bands) for layer in layers}
    found = [
        f"{moved} of {len(uploads)} are not in the map's CRS and are resampled" if moved else "",
        f"{scaled} of {len(uploads)} have pixels of another size than {grid.resolution:g} m" if scaled else "",
        "their numbers become reflectance in different ways" if len(numbers) > 1 else "",
    ]
    told = "; ".join(filter(None, found))
    return [Warned(code="tiles-differ", detail=f"the files differ: {told}; seams may show")] if told else []
