"""Pictures from a STAC collection: the newest that cover the area, read where they lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import shapely
from shapely.geometry.base import BaseGeometry

from jobs.area import Area
from jobs.errors import BadImage, NoImagery
from jobs.inspection.facts import crs_name
from jobs.inspection.raster import check_georeference
from jobs.plan import grid_record
from jobs.request import StacSearch
from jobs.scenes import catalogue
from jobs.scenes.pictures import Picture, Pictures, choose_pictures
from jobs.settings import Settings
from models.cards import Card
from models.errors import Fault
from worker.imagery import remote
from worker.imagery.grids import Footprint, check_pixels, choose_grid
from worker.imagery.plan import BandRead, FileRead, ImageryPlan, Layer, SceneRecord, Stack
from worker.imagery.sentinel2 import credit, href_of
from worker.imagery.tiles import ROUNDING, partly_covered

POINTER: Final = "/inputs/imagery/stac"
# Every window of a job looks at each of them.
_MOST: Final = 32
_BYTE: Final = 1 / 255
_WHY: Final = "uint8 was taken to be 0-1 divided by 0.003922"


def plan_pictures(wanted: StacSearch, card: Card, area: Area, settings: Settings) -> ImageryPlan:
    """Choose pictures of bytes until the area is covered, at most 32 and the newest first, which lie above the others.

    Raises InvalidRequest (catalogue, datetime), NoImagery (with what was searched), ImageryUnavailable, MissingCrs, or
    BadImage for a picture that is not of bytes, not north-up, or too coarse for the card.
    """
    found = catalogue.search(wanted, area, settings, by_cloud=False)
    choice = choose_pictures(found.items, wanted, area, card.input.bands)
    readable, unread = remote.readable(choice.usable, lambda p: [href_of(p.asset)], found.root)
    choice = Pictures(readable, choice.refused | unread)
    pictures = list(_covering(readable, area))
    if not pictures:
        raise _none(wanted, found, choice)
    remote.probe([href_of(p.asset) for p in pictures], settings)
    files = {p.item.id: _footprint(p, settings) for p in pictures}
    coarse = check_pixels(files, card, POINTER)
    mapped = area.geometry.intersection(shapely.union_all([f.lonlat for f in files.values()]))
    if mapped.is_empty:
        raise _none(wanted, found, choice)
    share = mapped.area / area.geometry.area
    grid = choose_grid(list(files.values()), card, area, Area(mapped, area.km2 * share))
    newest = pictures[0].time.isoformat()
    return ImageryPlan(
        source="stac",
        grid=grid_record(grid),
        area=area.geojson,
        km2=area.km2,
        bands=card.input.bands,
        stacks=(Stack(id="pictures", datetime=newest, layers=tuple(map(_layer, pictures))),),
        scenes=tuple(_scene(p, area) for p in pictures),
        catalogue=found.root,
        coverage=share,
        provenance=f"{wanted.collection} at {found.root}: {', '.join(files)}, the newest first",
        attribution="; ".join(sorted({credit(str(p.time.year), p.item)[1] for p in pictures})),
        warnings=(*coarse, *partly_covered(share)),
    )


def _covering(pictures: Sequence[Picture], area: Area) -> Iterator[Picture]:
    """Yield pictures, at most so many, that show what of the area no earlier one does."""
    missing: BaseGeometry = area.geometry
    count = 0
    for picture in pictures:
        left = missing.difference(picture.outline)
        if missing.area - left.area > ROUNDING * area.geometry.area and count < _MOST:
            missing, count = left, count + 1
            yield picture


def _footprint(picture: Picture, settings: Settings) -> Footprint:
    """Return where a picture's pixels lie, from its header; raises BadImage unless its bands are there and bytes."""
    with remote.remote_raster(href_of(picture.asset), settings) as dataset:
        crs = crs_name(check_georeference(dataset, picture.item.id))
        found = Footprint(crs, tuple(dataset.transform[:6]), dataset.width, dataset.height)
        kinds = dataset.dtypes
    if max(picture.places.values()) > len(kinds) or set(kinds) != {"uint8"}:
        there = f"{len(kinds)} bands of {', '.join(sorted(set(kinds)))}"
        msg = (
            f"{picture.item.id} holds {there}; of catalogues, only pictures of bytes are read: upload the file instead"
        )
        raise BadImage(msg, faults=[Fault(POINTER, there)])
    return found


def _layer(picture: Picture) -> Layer:
    bands = tuple(BandRead(band=band, index=place, scale=_BYTE, offset=0) for band, place in picture.places.items())
    return Layer(id=picture.item.id, files=(FileRead(href=href_of(picture.asset), bands=bands, why=_WHY),))


def _scene(picture: Picture, area: Area) -> SceneRecord:
    item = picture.item
    clear = area.geometry.intersection(picture.outline).area / area.geometry.area
    return SceneRecord(
        id=item.id, href=item.get_self_href(), collection=item.collection_id, datetime=picture.time.isoformat(),
        cloud_cover=None, clear=round(clear, 4), scale=_BYTE, offset=0, why=_WHY,
    )  # fmt: skip


def _none(wanted: StacSearch, found: catalogue.Found, choice: Pictures) -> NoImagery:
    reasons = "; ".join(f"{n} {reason}" for reason, n in sorted(choice.refused.items(), key=lambda r: -r[1])[:5])
    msg = (
        f"no picture of {wanted.collection} at {found.root} shows the area of interest in {wanted.datetime}: "
        f"{len(found.items)} items found{': ' + reasons if reasons else ''}; widen datetime, or name another collection"
    )
    return NoImagery(msg, faults=[Fault(POINTER, "no picture fits")])
