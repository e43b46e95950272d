"""What a finished map says of itself: TileJSON 3.0.0, the legend of its colours, and what is at a place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jobs.products import UNIT_TITLES
from jobs.public.bodies import Link

Layer = Literal["map", "confidence", "image"]
Share = Annotated[float | None, Field(ge=0, le=1)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TileJson(_Body):
    """TileJSON 3.0.0 (https://github.com/mapbox/tilejson-spec); `links` are ours: this document, and the legend."""

    tilejson: Literal["3.0.0"] = "3.0.0"
    tiles: list[str] = Field(description="templates of {z}, {x}, {y}; signed, so that an <img> can use them")
    name: str
    description: str
    version: Literal["1.0.0"] = "1.0.0"
    attribution: str = Field(description="HTML, as the standard has it")
    scheme: Literal["xyz"] = "xyz"
    bounds: tuple[float, float, float, float] = Field(description="west, south, east, north in degrees")
    center: tuple[float, float, int] = Field(description="longitude, latitude, zoom")
    minzoom: int
    maxzoom: int
    links: list[Link]


class Kind(_Body):
    """A class of the map."""

    code: int = Field(description="number in the raster")
    label: str
    name: str
    colour: str = Field(pattern="^#[0-9a-f]{6}$")


class Entry(Kind):
    """One colour of the map."""

    share: float | None = Field(None, ge=0, le=1, description="share of the mapped pixels; left out for percents")
    km2: float | None = Field(None, ge=0, description="area, as in the factsheet; left out for percents")


class Legend(_Body):
    """What the colours of a layer mean; the imagery's mean nothing but themselves, and it has no entries."""

    title: str
    layer: Layer
    entries: list[Entry]


class Likely(Kind):
    """A class and how probable it is."""

    share: float = Field(ge=0, le=1)


class Outline(_Body):
    """A GeoJSON geometry in longitude/latitude; beside the antimeridian, longitudes may go beyond 180."""

    type: Literal["Polygon", "MultiPolygon"]
    coordinates: list[Any]


class PixelHere(_Body):
    """The pixel of a map that holds a place; what no output of the job tells is left out."""

    resolution: float = Field(description="side in metres")
    kind: Kind = Field(serialization_alias="class")
    confidence: Share = Field(None, description="probability of the class (`confidence`)")
    unit: str | None = Field(None, description=f"what decided it (`units`): {', '.join(UNIT_TITLES.values())}")
    second: Kind | None = Field(None, description="the second most probable class (`uncertainty`)")
    entropy: Share = Field(None, description="normalised entropy of what decided it (`uncertainty`)")
    buildings_share: Share = Field(
        None, description="how far buildings decided it, rather than the spectrum (`uncertainty`)"
    )
    consistency: Share = Field(None, description="how well the class fits the measured geography (`uncertainty`)")


class ParcelHere(_Body):
    """The parcel that holds a place, as the table of parcels has it; what is not known of it is left out."""

    id: str
    kind: Kind | None = Field(None, serialization_alias="class")
    second: Kind | None = None
    purity: Share = Field(None, description="probability of its class")
    entropy: Share = Field(None, description="normalised")
    valid_fraction: Share = Field(None, description="how much of it has imagery")
    pixels: float | None = Field(None, description="how many pixels that is")
    area_m2: float
    decided_by: str = Field(description="parcel, block, scene, pixel, or abstain where nothing is known of it")
    reason: str | None = Field(None, description="why it did not decide for itself")
    shares: dict[str, float] | None = Field(None, description="sums of probabilities that planners ask for")
    probabilities: list[Likely] = Field(description="those of half a percent and more, largest first")
    geometry: Outline


class Here(_Body):
    """What a finished map says of a place."""

    lon: float
    lat: float
    mapped: bool = Field(description="whether the place has a class")
    pixel: PixelHere | None = None
    parcel: ParcelHere | None = None
