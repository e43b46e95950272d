"""What a map of tiles says of itself: TileJSON 3.0.0, and the legend of its colours."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from jobs.public.bodies import Link

Layer = Literal["map", "confidence"]


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


class Entry(_Body):
    """One colour of the map."""

    code: int = Field(description="number in the raster")
    label: str
    name: str
    colour: str = Field(pattern="^#[0-9a-f]{6}$")
    share: float | None = Field(None, ge=0, le=1, description="share of the mapped pixels; left out for percents")


class Legend(_Body):
    """What the colours of a layer mean."""

    title: str
    layer: Layer
    entries: list[Entry]
