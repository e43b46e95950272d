"""The TileJSON of a finished map."""

from __future__ import annotations

from html import escape
from typing import Final

from jobs.public.bodies import JSON, Link
from jobs.record import RequestRecord
from jobs.request import Imagery
from models.classes import Palette
from service.processes import TITLES
from service.tiles.bodies import Layer, TileJson
from service.tiles.drawing import Extent
from service.tiles.viewer import Viewer

PNG: Final = "image/png"
_NAMES: Final[dict[Layer, str]] = {"map": "", "confidence": ": confidence", "image": ": imagery"}
_COPERNICUS: Final = "Contains modified Copernicus Sentinel data"


def tilejson(
    viewer: Viewer, layer: Layer, place: Extent, asked: RequestRecord, url: str, *, palette: Palette
) -> TileJson:
    """Return the document; every address in it carries the viewer's signature."""
    here, query = f"{url}/jobs/{viewer.job}", f"?layer={layer}&palette={palette}&{viewer.query}"
    middle = "lon={:.6f}&lat={:.6f}".format(*place.centre)
    return TileJson(
        tiles=[f"{here}/tiles/{{z}}/{{x}}/{{y}}.png{query}"],
        name=TITLES[asked.process] + _NAMES[layer],
        description=f"{viewer.job}, made on {asked.created:%Y-%m-%d}",
        attribution=_attribution(Imagery.model_validate(asked.execute["inputs"]["imagery"])),
        bounds=place.bounds,
        center=(*place.centre, min(place.minzoom + 1, place.maxzoom)),
        minzoom=place.minzoom,
        maxzoom=place.maxzoom,
        links=[
            Link(href=f"{here}/tiles{query}", rel="self", type=JSON, title="This document, for those without a key"),
            Link(href=f"{here}/legend{query}", rel="legend", type=JSON, title="What the colours mean"),
            Link(href=f"{here}/legend.png{query}", rel="legend", type=PNG, title="The same as a picture"),
            Link(
                href=f"{here}/point?{middle}&{viewer.query}", rel="related", type=JSON,
                title="What is in the middle of the map; other lon and lat tell of other places",
            ),
        ],
    )  # fmt: skip


def _attribution(imagery: Imagery) -> str:
    """Return the line web maps show in a corner, as HTML: what a client has named is escaped."""
    if imagery.stac is None:
        return "Cityzones"
    sentinel = imagery.stac.collection.startswith("sentinel-")
    return f"Cityzones; {_COPERNICUS if sentinel else f'from imagery of {escape(imagery.stac.collection)}'}"
