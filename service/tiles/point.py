"""What a finished map says of a place, put together from those outputs of the job that tell of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from jobs.products import BUILDINGS_SHARE, CONSISTENCY, ENTROPY, SECOND_CLASS, UNIT_TITLES, UNSURE
from jobs.record import OutputFile
from models.classes import NODATA, SHARES, classes_of
from service.tiles.bodies import Here, Kind, Likely, Outline, ParcelHere, PixelHere
from service.tiles.parcel import geojson, parcel_at
from service.tiles.room import MapRoom
from service.tiles.spot import Spot, spot, values

_RASTERS: Final = ("confidence", "units", "uncertainty")
_TABLES: Final = ("parcels-gpkg", "parcels")  # the first has an index
_LEAST: Final = 0.005

Values = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FinishedMap:
    """A map to be asked about places: its outputs, the map among them, its product, and where they are read."""

    outputs: Mapping[str, OutputFile]
    product: str
    room: MapRoom

    async def at(self, longitude: float, latitude: float) -> Here:
        """Return what is at a place, in degrees; raises as `MapRoom.work` does, and MapUnreadable."""
        place = await self.room.work(self.outputs["map"], partial(spot, longitude=longitude, latitude=latitude))
        if place is None:
            return Here(lon=longitude, lat=latitude, mapped=False)
        pixel = await self._pixel(place) if place.code != NODATA else None
        parcel = await self._parcel(place)
        return Here(lon=longitude, lat=latitude, mapped=pixel is not None, pixel=pixel, parcel=parcel)

    async def _pixel(self, place: Spot) -> PixelHere:
        read: dict[str, Values] = {
            name: await self.room.work(self.outputs[name], partial(values, place=place))
            for name in _RASTERS
            if name in self.outputs
        }
        return _pixel(place, read, _kinds(self.product))

    async def _parcel(self, place: Spot) -> ParcelHere | None:
        table = next((self.outputs[name] for name in _TABLES if name in self.outputs), None)
        call = partial(_parcel, place=place, product=self.product)
        return None if table is None else await self.room.work(table, call)


def _kinds(product: str) -> dict[int, Kind]:
    return {c.code: Kind(code=c.code, label=c.label, name=c.name, colour=c.colour) for c in classes_of(product)}


def _pixel(place: Spot, read: Mapping[str, Values], kinds: Mapping[int, Kind]) -> PixelHere:
    (confidence,), (unit,) = (tuple(read.get(name, {}).values()) or (None,) for name in ("confidence", "units"))
    doubts = read.get("uncertainty", {})
    return PixelHere(
        resolution=place.resolution,
        kind=kinds[place.code],
        confidence=None if confidence is None else confidence / 100,
        unit=UNIT_TITLES.get(unit or 0),
        second=kinds.get(doubts.get(SECOND_CLASS, UNSURE)),
        entropy=_share(doubts, ENTROPY),
        buildings_share=_share(doubts, BUILDINGS_SHARE),
        consistency=_share(doubts, CONSISTENCY),
    )


def _share(doubts: Values, name: str) -> float | None:
    percent = doubts.get(name, UNSURE)
    return None if percent == UNSURE else percent / 100


def _parcel(path: Path, place: Spot, product: str) -> ParcelHere | None:
    found = parcel_at(path, place)
    if found is None:
        return None
    row, kinds = found.columns, _kinds(product)
    likely = [Likely(**kind.model_dump(), share=_number(row, f"p_{code}") or 0.0) for code, kind in kinds.items()]
    sums = {name: _number(row, name) for name in SHARES[product]}
    return ParcelHere(
        id=row["parcel_id"],
        kind=kinds.get(row["class_code"]),
        second=kinds.get(row["second_code"]),
        **{name: _number(row, name) for name in ("purity", "entropy", "valid_fraction", "pixels")},
        area_m2=round(row["area_m2"], 2),
        decided_by=row["decided_by"],
        reason=row["reason"] or None,
        shares={name: share for name, share in sums.items() if share is not None} or None,
        probabilities=sorted((one for one in likely if one.share >= _LEAST), key=lambda one: -one.share),
        geometry=Outline(**geojson(found, place)),
    )


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    return None if value is None or not math.isfinite(value) else round(value, 6)
