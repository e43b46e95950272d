"""STAC items of Sentinel-2: which fit the request, which are duplicates, and which asset is which band."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import pystac
from shapely.geometry.base import BaseGeometry

from jobs.area import Area
from jobs.errors import InvalidRequest
from jobs.request import StacSearch
from jobs.scenes.bands import canonical
from jobs.scenes.facts import baseline_of, footprint
from models.errors import Fault

T = TypeVar("T")
U = TypeVar("U")
# A map is made of the clearest so many.
MOST_OVERPASSES: Final = 3
_SAME_PLACE: Final = 0.9
_TILE: Final = re.compile(r"(?:^|_)T?(\d{2}[C-X][A-Z]{2})(?:_|$)")
_BASELINE: Final = re.compile(r"_N\d{2}\.\d{2}$")
_SIZED: Final = re.compile(r"^(.+)_(10|20|60)m$")
_PARTIAL_DATE: Final = re.compile(r"^(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?$")
_DECEMBER: Final = 12


@dataclass(frozen=True, slots=True)
class Usable:
    """An item that fits, with its outline (lon/lat), time and the assets of the card's bands and of the SCL."""

    item: pystac.Item
    outline: BaseGeometry
    time: datetime
    assets: dict[str, pystac.Asset]
    classification: pystac.Asset | None

    @property
    def cloud_cover(self) -> float | None:
        """Percent of the tile under cloud, where the item says it."""
        return cloud_cover(self.item)

    @property
    def solar_day(self) -> str:
        """The date at the item's own longitude, so that one overpass has one date."""
        return (self.time + timedelta(hours=float(self.outline.centroid.x) / 15)).date().isoformat()


@dataclass(frozen=True, slots=True)
class Choice:
    """Items that fit, duplicates dropped, and why the others do not: reason -> how many."""

    usable: tuple[Usable, ...]
    refused: dict[str, int]


def choose(items: Sequence[pystac.Item], wanted: StacSearch, area: Area, bands: Sequence[str]) -> Choice:
    """Filter items by what the request asks for, whatever the catalogue did; see `Choice`."""
    between = interval(wanted.datetime)
    usable, refused = sort_out(items, lambda item: _fit(item, wanted, area, bands, between))
    return Choice(tuple(_newest(usable)), refused)


def sort_out(items: Iterable[T], fit: Callable[[T], U | str]) -> tuple[list[U], dict[str, int]]:
    """Return what `fit` makes of the items, and why it refuses the others: reason -> how many."""
    refused: dict[str, int] = {}
    usable: list[U] = []
    for item in items:
        found = fit(item)
        if isinstance(found, str):
            refused[found] = refused.get(found, 0) + 1
        else:
            usable.append(found)
    return usable, refused


def overpasses(usable: Sequence[Usable], *, most: int) -> list[list[Usable]]:
    """Group items by overpass and return those with the least cloud, newest first among equals."""
    days: dict[str, list[Usable]] = {}
    for one in usable:
        days.setdefault(one.solar_day, []).append(one)
    newest = sorted(days, reverse=True)
    clearest = sorted(newest, key=lambda d: sum(u.cloud_cover or 0.0 for u in days[d]) / len(days[d]))
    return [sorted(days[d], key=lambda u: u.item.id) for d in clearest[:most]]


def _fit(
    item: pystac.Item, wanted: StacSearch, area: Area, bands: Sequence[str], between: tuple[datetime, datetime]
) -> Usable | str:
    there = placed(item, wanted, area, between)
    if isinstance(there, str):
        return there
    assets, classification = _assets(item, bands)
    missing = [b for b in bands if b not in assets]
    if missing:
        return f"without the bands {', '.join(missing)}"
    return clouded(item, wanted) or Usable(item, there[1], there[0], assets, classification)


def placed(
    item: pystac.Item, wanted: StacSearch, area: Area, between: tuple[datetime, datetime]
) -> tuple[datetime, BaseGeometry] | str:
    """Return an item's time and outline (lon/lat), or why it is none of those asked for."""
    time, outline = _time(item), footprint(item)
    if time is None or not between[0] <= time <= between[1]:
        return "outside the time asked for"
    if item.collection_id not in {None, wanted.collection}:
        return "of another collection"
    if outline is None or not outline.intersects(area.geometry):
        return "beside the area"
    return time, outline


def clouded(item: pystac.Item, wanted: StacSearch) -> str | None:
    """Return that an item is under more cloud than asked for, or None."""
    cover = cloud_cover(item)
    if cover is None or cover <= wanted.max_cloud_cover:
        return None
    return f"with more than {wanted.max_cloud_cover:g} % cloud"


def cloud_cover(item: pystac.Item) -> float | None:
    """Return the percent of an item under cloud, where it says it."""
    value = item.properties.get("eo:cloud_cover")
    return float(value) if isinstance(value, int | float) else None


def interval(text: str) -> tuple[datetime, datetime]:
    """Return start and end of a STAC datetime or interval; a date alone is its whole day, month or year, in UTC."""
    first, _, last = text.partition("/")
    try:
        start = _moment(first, end=False)
        stop = datetime.max.replace(tzinfo=UTC) if last == ".." else _moment(last or first, end=True)
    except ValueError as error:
        msg = f"datetime {text!r} is neither a date nor an interval like 2026-05-01/2026-09-30"
        raise InvalidRequest(msg, faults=[Fault("/inputs/imagery/stac/datetime", "not a date or interval")]) from error
    if stop < start:
        msg = f"datetime {text!r} ends before it starts"
        raise InvalidRequest(msg, faults=[Fault("/inputs/imagery/stac/datetime", "ends before it starts")])
    return start, stop


def _moment(text: str, *, end: bool) -> datetime:
    parts = _PARTIAL_DATE.match(text)
    if not parts:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    year, month, day = (int(p) if p else None for p in parts.groups())
    assert year is not None  # noqa: S101 - the pattern has it
    if not end:
        return datetime(year, month or 1, day or 1, tzinfo=UTC)
    month = month or _DECEMBER
    day = day or monthrange(year, month)[1]
    return datetime(year, month, day, 23, 59, 59, 999999, tzinfo=UTC)


def _time(item: pystac.Item) -> datetime | None:
    moment = item.datetime or item.common_metadata.start_datetime
    if moment is None:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _assets(item: pystac.Item, bands: Sequence[str]) -> tuple[dict[str, pystac.Asset], pystac.Asset | None]:
    """Return the asset of each band that is there, and of the scene classification (SCL)."""
    best: dict[str, tuple[tuple[int, ...], pystac.Asset]] = {}
    for key, asset in item.assets.items():
        name, rank = _band_of(key, asset)
        if name and (name not in best or rank < best[name][0]):
            best[name] = (rank, asset)
    wanted = {band: best[canonical(band) or band][1] for band in bands if (canonical(band) or band) in best}
    return wanted, best["SCL"][1] if "SCL" in best else None


def _band_of(key: str, asset: pystac.Asset) -> tuple[str | None, tuple[int, ...]]:
    """Return the band an asset holds and how well it suits: named by its key, GeoTIFF, fine pixels first."""
    sized = _SIZED.match(key)
    metres = int(sized[2]) if sized else 0
    plain_tiff = 0 if "tif" in f"{asset.media_type or ''} {asset.href}".lower() else 1
    name = canonical(sized[1] if sized else key)
    if name:
        return name, (0, plain_tiff, metres)
    fields = asset.extra_fields
    told: list[Any] = list(fields.get("eo:bands") or fields.get("bands") or ())
    if len(told) != 1 or not isinstance(told[0], dict):
        return None, ()
    first = told[0]
    names = (str(first.get(k)) for k in ("name", "eo:common_name", "common_name"))
    return next((band for n in names if (band := canonical(n))), None), (1, plain_tiff, metres)


def _newest(usable: Sequence[Usable]) -> list[Usable]:
    """Keep one item a tile and datatake, the newest baseline; parts of one datatake that do not overlap all stay."""
    order = sorted(usable, key=lambda u: (_key(u), -(baseline_of(u.item) or 0.0), _created(u.item), u.item.id))
    kept: list[Usable] = []
    for candidate in order:
        twins = [k for k in kept if _key(k) == _key(candidate)]
        if not any(_covers(twin, candidate) for twin in twins):
            kept.append(candidate)
    return kept


def _key(usable: Usable) -> tuple[str, str]:
    properties = usable.item.properties
    code = str(properties.get("grid:code") or properties.get("s2:mgrs_tile") or "")
    found = _TILE.search(usable.item.id)
    tile = code.removeprefix("MGRS-").removeprefix("T") or (found[1] if found else usable.item.id)
    datatake = _BASELINE.sub("", str(properties.get("s2:datatake_id") or ""))
    return tile, datatake or f"{properties.get('platform', '')} {usable.time:%Y-%m-%dT%H:%M}"


def _created(item: pystac.Item) -> str:
    # Sorts the latest first: every digit is replaced by its complement.
    text = str(item.properties.get("s2:generation_time") or item.properties.get("created") or "0")
    return "".join(str(9 - int(c)) if c in "0123456789" else c for c in text)


def _covers(twin: Usable, candidate: Usable) -> bool:
    if baseline_of(twin.item) != baseline_of(candidate.item):
        return True
    smaller = min(twin.outline.area, candidate.outline.area)
    return smaller == 0 or bool(twin.outline.intersection(candidate.outline).area >= _SAME_PLACE * smaller)
