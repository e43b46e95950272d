"""STAC items of pictures, as aerial surveys publish them: one file with all bands, and the newest is the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pystac
from shapely.geometry.base import BaseGeometry

from jobs.area import Area
from jobs.request import StacSearch
from jobs.scenes.bands import find
from jobs.scenes.items import clouded, interval, placed, sort_out

_NAMES: Final = ("eo:common_name", "common_name", "name")


@dataclass(frozen=True, slots=True)
class Picture:
    """An item that fits, with its outline (lon/lat), time, the asset with all bands and each one's place (from 1)."""

    item: pystac.Item
    outline: BaseGeometry
    time: datetime
    asset: pystac.Asset
    places: dict[str, int]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Items that fit, newest first, and why the others do not: reason -> how many."""

    usable: tuple[Picture, ...]
    refused: dict[str, int]


def choose_pictures(items: Sequence[pystac.Item], wanted: StacSearch, area: Area, bands: Sequence[str]) -> Pictures:
    """Filter items by what the request asks for; raises InvalidRequest for dates that are none."""
    between = interval(wanted.datetime)
    usable, refused = sort_out(items, lambda item: _fit(item, wanted, area, bands, between))
    return Pictures(tuple(sorted(usable, key=lambda p: (p.time, p.item.id), reverse=True)), refused)


def _fit(
    item: pystac.Item, wanted: StacSearch, area: Area, bands: Sequence[str], between: tuple[datetime, datetime]
) -> Picture | str:
    there = placed(item, wanted, area, between)
    if isinstance(there, str):
        return there
    found = [(asset, places) for asset in item.assets.values() if (places := _places(asset, bands))]
    if not found:
        return f"without one file of {', '.join(bands)}"
    asset, places = min(found, key=lambda pair: "data" not in (pair[0].roles or ()))
    return clouded(item, wanted) or Picture(item, there[1], there[0], asset, places)


def _places(asset: pystac.Asset, bands: Sequence[str]) -> dict[str, int]:
    """Return the place (from 1) of each band in an asset that tells of all of them, else nothing."""
    fields = asset.extra_fields
    names = [_name(told, bands) for told in fields.get("eo:bands") or fields.get("bands") or ()]
    places = {band: place + 1 for band in bands if (place := find(band, names)) is not None}
    return places if len(places) == len(bands) else {}


def _name(told: Any, bands: Sequence[str]) -> str | None:
    """Return the name of a band that is looked for, from what an asset tells of one; None where it is another."""
    names = [told[key] for key in _NAMES if isinstance(told.get(key), str)] if isinstance(told, dict) else []
    return next((name for name in names if find(name, bands) is not None), None)
