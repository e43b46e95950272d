"""Uploaded images: which file holds which band, and the grid they are mapped on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from jobs.area import WGS84, Area, check_limits
from jobs.errors import BadImage, NoImagery, WrongBands
from jobs.plan import grid_record
from jobs.record import Warned
from jobs.request import Imagery as ImageryInput
from jobs.scenes import bands as naming
from jobs.uploads import UploadRecord, UploadStore
from models.cards import Card
from models.errors import Fault
from worker.imagery.grids import Footprint, check_pixels, choose_grid
from worker.imagery.numbers import POINTER, Numbers, decide_numbers
from worker.imagery.plan import BandRead, FileRead, ImageryPlan, Layer, Stack
from worker.imagery.tiles import covered, partly_covered, tile_warnings


@dataclass(frozen=True, slots=True)
class _Image:
    """An upload with the names of its bands (None where unknown) and how its numbers become reflectance."""

    record: UploadRecord
    names: tuple[str | None, ...]
    numbers: Numbers
    warnings: tuple[Warned, ...]

    @property
    def footprint(self) -> Footprint:
        """Where the file lies."""
        facts = self.record.facts
        return Footprint(facts["crs"], tuple(facts["transform"]), facts["width"], facts["height"])


def plan_uploads(imagery: ImageryInput, card: Card, area: Area | None, uploads: UploadStore) -> ImageryPlan:
    """Choose bands, numbers and grid from the facts of the uploads, without opening a file.

    Raises UnknownUpload, BadImage, WrongBands (naming the bands missing and found), NoImagery, or AreaOutOfLimits where
    the images are larger than the model maps at once.
    """
    ids = imagery.uploads or ()
    records = [_image_record(uploads, upload, f"{POINTER}/uploads/{i}") for i, upload in enumerate(ids)]
    images = [
        _image(record, _names(record, i, imagery, card, len(records)), imagery, card)
        for i, record in enumerate(records)
    ]
    layers, ignored = _layers(images, card)
    used = [i for i in images if any(f.upload == i.record.upload for layer in layers for f in layer.files)]
    files = {i.record.upload: i.footprint for i in used}
    coarse = check_pixels({i.record.filename: i.footprint for i in used}, card, f"{POINTER}/uploads")
    mapped, share = _mapped(area, covered(layers, {u: f.lonlat for u, f in files.items()}, card))
    if area is None:
        check_limits(mapped, min_km2=0, max_km2=card.limits.max_km2, pointer=f"{POINTER}/uploads")
    grid = choose_grid([i.footprint for i in used], card, area, mapped)
    warnings = [w for image in used for w in image.warnings]
    together = tile_warnings(layers, files, card, grid, area.geometry if area else None)
    return ImageryPlan(
        source="uploads",
        grid=grid_record(grid),
        area=area.geojson if area else dict(mapping(mapped.geometry)),
        km2=area.km2 if area else mapped.km2,
        bands=card.input.bands,
        stacks=(Stack(id="uploads", datetime=_time(used), layers=layers),),
        coverage=share,
        provenance="uploaded images: "
        + ", ".join(f"{i.record.filename} (sha256 {i.record.sha256[:12]})" for i in used),
        attribution="Imagery supplied by the client",
        warnings=_once((*warnings, *ignored, *coarse, *together, *partly_covered(share))),
    )


def _image_record(uploads: UploadStore, upload: str, pointer: str) -> UploadRecord:
    record = uploads.read(upload)
    if record.kind != "image":
        msg = f"{record.filename} is a {record.kind}, not an image: name an upload of kind image"
        raise BadImage(msg, faults=[Fault(pointer, "not an image")])
    return record


def _names(
    record: UploadRecord, index: int, imagery: ImageryInput, card: Card, files: int
) -> tuple[tuple[str | None, ...], bool]:
    """Return the band name of each band of a file, and whether they were assumed from the card's order."""
    facts = record.facts
    alpha = [c == "alpha" for c in facts["colours"]]
    count = alpha.index(True) if True in alpha else facts["count"]
    if imagery.bands is not None:
        return _told(imagery.bands, count, index, files, record), False
    described = tuple(_described(d, card) if d else None for d in facts["bands"][:count])
    if any(naming.find(band, described) is not None for band in card.input.bands):
        return described, False
    if card.input.reflectance == "digital" and count >= len(card.input.bands):
        return naming.of_picture(facts["colours"][:count], card.input.bands)
    if count == 1:
        return (naming.in_filename(record.filename) or _lone(card),), False
    if count == len(card.input.bands):
        return tuple(card.input.bands), True
    return (None,) * count, False


def _described(text: str, card: Card) -> str:
    """Return the band a description names: one of the card as it is ("B04 spring"), or the usual name it contains."""
    own = next((band for band in card.input.bands if naming.same(band, text)), None)
    return own or naming.in_text(text) or text


def _lone(card: Card) -> str | None:
    return card.input.bands[0] if len(card.input.bands) == 1 else None


def _told(told: Sequence[str], count: int, index: int, files: int, record: UploadRecord) -> tuple[str, ...]:
    if len(told) == count:
        return tuple(told)
    if count == 1 and len(told) == files:
        return (told[index],)
    msg = f"imagery.bands names {len(told)} bands, but {record.filename} has {count}: name all, in its order"
    raise WrongBands(msg, faults=[Fault(f"{POINTER}/bands", f"{len(told)} names for {count} bands")])


def _image(
    record: UploadRecord, named: tuple[tuple[str | None, ...], bool], imagery: ImageryInput, card: Card
) -> _Image:
    names, assumed = named
    warnings = []
    if assumed:
        order = ", ".join(filter(None, names))
        detail = f"{record.filename} does not name its bands; they were taken to be {order}, in this order"
        warnings.append(Warned(code="band-order-assumed", detail=detail))
    others = [name for name in names if name is None or naming.find(name, card.input.bands) is None]
    if others and card.input.reflectance == "digital":
        told = ", ".join(name or "without a name" for name in others)
        detail = (
            f"of {record.filename}, {card.id} reads {', '.join(card.input.bands)} alone and not the others ({told})"
        )
        warnings.append(Warned(code="bands-ignored", detail=detail))
    numbers = decide_numbers(record, len(names), imagery, card)
    if numbers.guessed:
        detail = f"{record.filename} does not say how its numbers become reflectance; {numbers.why}"
        warnings.append(Warned(code="scale-assumed", detail=detail))
    return _Image(record, names, numbers, tuple(warnings))


def _layers(images: list[_Image], card: Card) -> tuple[tuple[Layer, ...], list[Warned]]:
    """Sort files into layers: a file with every band is one, files with some of the bands make one together."""
    layers: list[Layer] = []
    partial: list[FileRead] = []
    ignored = []
    for image in images:
        read = _file(image, card)
        if not read.bands:
            if any(image.names):
                continue  # a band that is known and not needed: B01, B10
            detail = f"{image.record.filename} does not say which band it holds and was left out"
            ignored.append(Warned(code="file-ignored", detail=detail))
        elif len(read.bands) == len(card.input.bands):
            layers.append(Layer(id=image.record.upload, files=(read,)))
        else:
            partial.append(read)
    found = {b.band for f in partial for b in f.bands}
    if partial or not layers:
        missing = [b for b in card.input.bands if b not in found]
        if missing:
            raise _wrong_bands(missing, images, card)
        layers.append(Layer(id="together", files=tuple(partial)))
    return tuple(layers), ignored


def _file(image: _Image, card: Card) -> FileRead:
    places = {band: naming.find(band, image.names) for band in card.input.bands}
    reads = [
        BandRead(band=band, index=i + 1, scale=image.numbers.scales[i], offset=image.numbers.offsets[i])
        for band, i in places.items()
        if i is not None
    ]
    return FileRead(upload=image.record.upload, bands=tuple(reads), why=image.numbers.why)


def _wrong_bands(missing: list[str], images: list[_Image], card: Card) -> WrongBands:
    known = dict.fromkeys(n for i in images for n in i.names if n)
    count = sum(len(i.names) for i in images)
    there = ", ".join(known) or f"{count} without a name"
    msg = (
        f"{card.id} needs {len(card.input.bands)} bands; missing: {', '.join(missing)}; found: {there} "
        f"({count} bands in {len(images)} files). Upload the missing bands, or name the bands there are with "
        "imagery.bands, in the file's order"
    )
    return WrongBands(msg, faults=[Fault(f"{POINTER}/uploads", f"missing: {', '.join(missing)}")])


def _mapped(area: Area | None, reached: BaseGeometry) -> tuple[Area, float]:
    """Return the part of the area that imagery covers, and its share of the area; raises NoImagery."""
    if area is None:
        whole = shapely.orient_polygons(reached)
        return Area(whole, _km2(whole)), 1.0
    both = area.geometry.intersection(reached)
    share = both.area / area.geometry.area
    if share <= 0:
        msg = (
            f"the area of interest ({_extent(area.geometry)}) lies outside the uploaded image ({_extent(reached)}; "
            "west, south, east, north in degrees): draw it inside, or upload the right image"
        )
        raise NoImagery(msg, faults=[Fault("/inputs/aoi", "outside the imagery")])
    return Area(both, _km2(both)), share


def _km2(geometry: BaseGeometry) -> float:
    return float(abs(WGS84.geometry_area_perimeter(geometry)[0])) / 1e6


def _extent(geometry: BaseGeometry) -> str:
    return ", ".join(f"{v:.4f}" for v in geometry.bounds)


def _once(warnings: Sequence[Warned]) -> tuple[Warned, ...]:
    """Keep one warning of each code where files agree: ten bands in ten files need not be told ten times."""
    kept: dict[str, Warned] = {}
    more: dict[str, int] = {}
    for warning in warnings:
        more[warning.code] = more.get(warning.code, -1) + 1
        kept.setdefault(warning.code, warning)
    return tuple(
        Warned(code=w.code, detail=w.detail + (f" (and likewise {more[c]} more)" if more[c] else ""))
        for c, w in kept.items()
    )


def _time(images: list[_Image]) -> str | None:
    return next((i.record.facts["datetime"] for i in images if i.record.facts.get("datetime")), None)
