"""Sentinel-2 from a STAC catalogue: the scenes clearest over the area, chosen once and written down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pystac
from numpy.typing import NDArray
from rasterio.features import rasterize

from jobs.area import Area, Grid, project, utm_grid
from jobs.errors import NoImagery
from jobs.plan import grid_record
from jobs.record import Warned
from jobs.request import StacSearch
from jobs.scenes import catalogue
from jobs.scenes.items import MOST_OVERPASSES, Choice, Usable, choose, overpasses
from jobs.settings import Settings
from models.cards import Card
from models.errors import Fault
from worker.imagery import remote
from worker.imagery.block import clouded_classes
from worker.imagery.coarse import coarse_grid, read_coarse
from worker.imagery.plan import BandRead, FileRead, ImageryPlan, Layer, SceneRecord, Stack
from worker.imagery.radiometry import Radiometry, confirm, decide
from worker.imagery.sampling import Mask

_CANDIDATES: Final = 12
_PARALLEL: Final = 8
_COPERNICUS: Final = "Contains modified Copernicus Sentinel data"
_LONGEST_CREDIT: Final = 200
# What a further clear look at a pixel is worth, after none, one and two.
_WORTH: Final = np.array([1.0, 0.3, 0.1, 0.0])


@dataclass(frozen=True, slots=True)
class _Day:
    """The items of one overpass and where each is clear, (item, y, x), on the coarse grid."""

    date: str
    items: tuple[Usable, ...]
    clear: Mask

    @property
    def seen(self) -> Mask:
        """Where the overpass is clear, (y, x)."""
        seen: Mask = np.asarray(self.clear.any(axis=0))
        return seen


def plan_stac(wanted: StacSearch, card: Card, area: Area, settings: Settings) -> ImageryPlan:
    """Choose up to three overpasses and decide how the numbers of each item become reflectance.

    Raises InvalidRequest (catalogue, datetime), NoImagery (with what was searched), ImageryUnavailable.
    """
    found = catalogue.search(wanted, area, settings)
    choice = _readable(choose(found.items, wanted, area, card.input.bands), found.root)
    if not choice.usable:
        raise _none(wanted, found, choice)
    grid = utm_grid(area, card.input.resolution)
    coarse = coarse_grid(grid)
    inside = _inside(area, coarse)
    days = _best(_looked_at(overpasses(choice.usable, most=_CANDIDATES), coarse, settings), inside)
    coverage = float((np.any([d.seen for d in days], axis=0) & inside).sum() / inside.sum()) if days else 0.0
    if coverage == 0:
        raise _all_clouded(wanted, choice)
    remote.probe([h for day in days for u in day.items for h in _hrefs(u)], settings)
    decided = _decisions(days, coarse, inside, settings)
    return ImageryPlan(
        source="stac",
        grid=grid_record(grid),
        area=area.geojson,
        km2=area.km2,
        bands=card.input.bands,
        stacks=tuple(_stack(day, card, decided) for day in days),
        scenes=tuple(
            _scene(u, clear, decided[u.item.id], inside)
            for d in days
            for u, clear in zip(d.items, d.clear, strict=True)
        ),
        catalogue=found.root,
        coverage=coverage,
        provenance=_provenance(wanted, found, days),
        attribution=_attribution(days),
        warnings=tuple(_warnings(days, decided, coverage)),
    )


def _readable(choice: Choice, root: str) -> Choice:
    usable, refused = remote.readable(choice.usable, _hrefs, root)
    return Choice(usable, dict(choice.refused) | refused)


def _hrefs(usable: Usable) -> list[str]:
    assets = [*usable.assets.values(), *([usable.classification] if usable.classification else [])]
    return [href_of(a) for a in assets]


def href_of(asset: pystac.Asset) -> str:
    """Return where an asset's file lies."""
    return str(asset.get_absolute_href() or asset.href)


def _looked_at(groups: list[list[Usable]], coarse: Grid, settings: Settings) -> list[_Day]:
    """Read every candidate's scene classification coarsely: where it is clear over the area."""
    everything = [u for group in groups for u in group]
    remote.probe([href_of(_mask_asset(u)) for u in everything], settings)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        masks = iter(list(pool.map(lambda u: _clear(u, coarse, settings), everything)))
    return [_Day(group[0].solar_day, tuple(group), np.stack([next(masks) for _ in group])) for group in groups]


def _mask_asset(usable: Usable) -> pystac.Asset:
    """Return the asset that says where an item is clear: its classification, else its first band."""
    return usable.classification or next(iter(usable.assets.values()))


def _clear(usable: Usable, coarse: Grid, settings: Settings) -> Mask:
    values, valid = read_coarse(href_of(_mask_asset(usable)), coarse, settings)
    bad = clouded_classes(values) if usable.classification else values == 0
    return valid & ~bad


def _inside(area: Area, coarse: Grid) -> Mask:
    outline = project(area.geometry, coarse.crs)
    burnt: NDArray[Any] = rasterize([outline], out_shape=coarse.shape, transform=coarse.transform, all_touched=True)
    return burnt.astype(np.bool_)


def _best(days: list[_Day], inside: Mask) -> list[_Day]:
    """Choose overpasses one by one, each time the one that adds most: pixels not seen yet count most."""
    looks = np.zeros(inside.shape, np.int64)
    chosen: list[_Day] = []
    while len(chosen) < MOST_OVERPASSES:
        gains = [float((_WORTH[looks] * (d.seen & inside)).sum()) if d not in chosen else 0.0 for d in days]
        if not gains or max(gains) <= 0:
            break
        day = days[int(np.argmax(gains))]
        chosen.append(day)
        looks += day.seen
    return chosen


def _decisions(days: list[_Day], coarse: Grid, inside: Mask, settings: Settings) -> dict[str, Radiometry]:
    """Decide every item's scale and offset from its metadata, and check it on its clear pixels."""
    pairs = [(u, clear) for d in days for u, clear in zip(d.items, d.clear, strict=True)]

    def one(pair: tuple[Usable, Mask]) -> Radiometry:
        usable, clear = pair
        read = [read_coarse(href_of(a), coarse, settings) for a in usable.assets.values()]
        numbers = np.stack([v for v, _ in read])[:, inside]
        valid = (np.all([v for _, v in read], axis=0) & clear)[inside] & (numbers > 0).all(axis=0)
        return confirm(decide(usable.item, list(usable.assets.values())), numbers, valid)

    with ThreadPoolExecutor(_PARALLEL) as pool:
        return {u.item.id: r for (u, _), r in zip(pairs, pool.map(one, pairs), strict=True)}


def _stack(day: _Day, card: Card, decided: dict[str, Radiometry]) -> Stack:
    layers = tuple(_layer(u, card, decided[u.item.id]) for u in day.items)
    return Stack(id=day.date, datetime=day.items[0].time.isoformat(), layers=layers)


def _layer(usable: Usable, card: Card, radiometry: Radiometry) -> Layer:
    def file(asset: pystac.Asset, band: str, scale: float, offset: float, why: str) -> FileRead:
        read = BandRead(band=band, index=1, scale=scale, offset=offset)
        return FileRead(href=href_of(asset), bands=(read,), nodata=0, why=why)

    files = tuple(
        file(usable.assets[b], b, radiometry.scale, radiometry.offset, radiometry.why) for b in card.input.bands
    )
    mask = usable.classification
    scl = file(mask, "SCL", 1.0, 0.0, "scene classes") if mask is not None else None
    return Layer(id=usable.item.id, files=files, classification=scl)


def _scene(usable: Usable, clear: Mask, radiometry: Radiometry, inside: Mask) -> SceneRecord:
    item = usable.item
    return SceneRecord(
        id=item.id, href=item.get_self_href(), collection=item.collection_id, datetime=usable.time.isoformat(),
        cloud_cover=usable.cloud_cover, clear=round(float((clear & inside).sum() / inside.sum()), 4),
        scale=radiometry.scale, offset=radiometry.offset, why=radiometry.why,
    )  # fmt: skip


def _provenance(wanted: StacSearch, found: catalogue.Found, days: Sequence[_Day]) -> str:
    dates = ", ".join(d.date for d in days)
    names = ", ".join(u.item.id for d in days for u in d.items)
    return (
        f"{wanted.collection} at {found.root}: median of the {len(days)} clearest overpasses ({dates}); items {names}"
    )


def _attribution(days: Sequence[_Day]) -> str:
    """Return whom to name: what the items ask for, else Copernicus where they are Sentinel-2's, else the collection."""
    told = {credit(day.date[:4], usable.item) for day in days for usable in day.items}
    years = sorted(year for year, credit in told if credit == _COPERNICUS)
    others = sorted({credit for _, credit in told if credit != _COPERNICUS})
    return "; ".join([f"{_COPERNICUS} {', '.join(years)}", *others] if years else others)


def credit(year: str, item: pystac.Item) -> tuple[str, str]:
    """Return a year with whom to name for an item of it."""
    asked = item.properties.get("attribution")
    if isinstance(asked, str) and asked:
        return year, asked[:_LONGEST_CREDIT]
    names = (item.properties.get("platform"), item.properties.get("constellation"))
    known = [str(name).lower() for name in names if name] or [str(item.collection_id).lower()]
    ours = any(name.startswith("sentinel-2") for name in known)
    return year, _COPERNICUS if ours else f"Imagery: {item.collection_id or item.id}"


def _warnings(days: Sequence[_Day], decided: dict[str, Radiometry], coverage: float) -> list[Warned]:
    warnings = []
    if coverage < 0.9995:  # noqa: PLR2004 - 100.0 % when written with one digit
        percent = math.floor(1000 * coverage) / 10
        detail = (
            f"clear imagery covers {percent:g} % of the area of interest; the rest is left without data: "
            "widen datetime or raise max_cloud_cover"
        )
        warnings.append(Warned(code="partial-coverage", detail=detail))
    doubts = [f"{name}: {r.why}" for name, r in decided.items() if r.doubtful]
    if doubts:
        warnings.append(Warned(code="offset-doubtful", detail="; ".join(doubts[:5])))
    if any(u.classification is None for d in days for u in d.items):
        detail = "the collection has no scene classification (SCL): clouds and shadows are not masked"
        warnings.append(Warned(code="no-cloud-mask", detail=detail))
    return warnings


def _none(wanted: StacSearch, found: catalogue.Found, choice: Choice) -> NoImagery:
    searched = f"collection {wanted.collection}, {wanted.datetime}, at most {wanted.max_cloud_cover:g} % cloud"
    reasons = "; ".join(f"{n} {reason}" for reason, n in sorted(choice.refused.items(), key=lambda r: -r[1])[:5])
    msg = (
        f"no scene covers the area of interest ({searched}, at {found.root}): "
        f"{len(found.items)} items found{': ' + reasons if reasons else ''}; widen datetime, raise max_cloud_cover, "
        "or name another collection"
    )
    return NoImagery(msg, faults=[Fault("/inputs/imagery/stac", "no scene fits")])


def _all_clouded(wanted: StacSearch, choice: Choice) -> NoImagery:
    msg = (
        f"{len(choice.usable)} scenes cover the area of interest in {wanted.datetime}, but none has a clear pixel "
        "in it: widen datetime"
    )
    return NoImagery(msg, faults=[Fault("/inputs/imagery/stac/datetime", "all clouded")])
