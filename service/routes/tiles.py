"""The map of a finished job as tiles for web pages: TileJSON, tiles, legend; as private as the job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as File
from typing import Annotated, Final

import anyio
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from jobs.public.problems import RequestError
from jobs.record import OutputFile, RequestRecord
from models.classes import Palette, classes_of
from service.finished import finished_output
from service.processes import TITLES
from service.state import Parts, State
from service.tiles.answers import PICTURE, client_has, headers_of
from service.tiles.bodies import Layer, Legend, TileJson
from service.tiles.drawing import MAX_ZOOM, SIDE, Colours, Place, draw, extent
from service.tiles.legend import class_legend, confidence_legend, image_legend, picture
from service.tiles.reading import Coverage
from service.tiles.room import MapRoom, room_of
from service.tiles.tilejson import PNG, tilejson
from service.tiles.viewer import KEY_OR_LINK, Tiled

router = APIRouter(prefix="/jobs/{job}", tags=["Tiles"])

_STYLE: Final = 1  # part of every tag: raise it when pictures come to look otherwise

Layered = Annotated[Layer, Query(description="what to draw: the classes, how sure they are, or the imagery")]
Painted = Annotated[Palette, Query(description="the colours of classes; `safe`: told apart by the colour-blind too")]
Zoom = Annotated[int, Path(ge=0, le=MAX_ZOOM)]
Number = Annotated[int, Path(ge=0, lt=2**MAX_ZOOM)]


@dataclass(frozen=True, slots=True)
class Drawer:
    """What the routes below share: the request, and the layer its caller may see, in which palette."""

    request: Request
    parts: State
    job: str
    layer: Layer
    palette: Palette

    async def output(self) -> OutputFile:
        """Return the layer's file; raises as finished_output does."""
        return await anyio.to_thread.run_sync(finished_output, self.job, self.layer, self.parts)

    async def asked(self) -> RequestRecord:
        """Return what was asked."""
        return await anyio.to_thread.run_sync(self.parts.jobs.request, self.job)

    def legend(self, asked: RequestRecord, covered: Coverage | None = None) -> Legend:
        """Return the layer's legend, with shares and areas where it is told what the classes cover."""
        if self.layer == "confidence":
            return confidence_legend()
        if self.layer == "image":
            return image_legend()
        return class_legend(TITLES[asked.process], classes_of(asked.process), covered, palette=self.palette)

    def colours(self) -> Colours | None:
        """Return the RGBA of every class, None where the file's own hold; it may read storage, so ask in a thread."""
        if self.layer != "map" or self.palette == "standard":
            return None
        classes = classes_of(self.parts.jobs.head(self.job).process)
        return {c.code: (*c.rgb_in(self.palette), 255) for c in classes}

    @property
    def room(self) -> MapRoom:
        """Where pictures are drawn."""
        return room_of(self.request)

    async def picture(self, name: str, call: Callable[[File], bytes]) -> Response:
        """Return a PNG, or 304 before a file is opened where the client has it."""
        output = await self.output()
        tag = f'"{output.sha256[:24]}.{_STYLE}.{self.palette}.{name}"'
        if client_has(self.request, tag):
            return Response(status_code=304, headers=headers_of(tag))
        return Response(await self.room.work(output, call), media_type=PNG, headers=headers_of(tag))


def _drawer(
    viewer: Tiled, request: Request, parts: Parts, layer: Layered = "map", palette: Painted = "standard"
) -> Drawer:
    return Drawer(request, parts, viewer.job, layer, palette)


def _place(z: Zoom, x: Number, y: Number) -> Place:
    place = Place(z, x, y)
    if not place.on_earth:
        raise RequestError("not-found", f"zoom {z} has {2**z} x {2**z} tiles, counted from 0")
    return place


Drawing = Annotated[Drawer, Depends(_drawer)]


@router.get("/tiles", summary="The map as tiles: TileJSON", openapi_extra=KEY_OR_LINK)
async def tiles(drawing: Drawing, viewer: Tiled, response: Response) -> TileJson:
    """Return where the tiles are, for MapLibre, OpenLayers and others; the template is signed, for this job alone."""
    place = await drawing.room.work(await drawing.output(), extent)
    response.headers["Cache-Control"] = "no-store"
    asked, url = await drawing.asked(), drawing.parts.settings.public_url
    return tilejson(viewer, drawing.layer, place, asked, url, palette=drawing.palette)


@router.get("/tiles/{z}/{x}/{y}@2x.png", summary="One tile of 512 pixels", **PICTURE)
async def large_tile(drawing: Drawing, place: Annotated[Place, Depends(_place)]) -> Response:
    """Return a tile for dense screens."""
    return await _tile(drawing, place, 2 * SIDE)


@router.get("/tiles/{z}/{x}/{y}.png", summary="One tile of 256 pixels", **PICTURE)
async def tile(drawing: Drawing, place: Annotated[Place, Depends(_place)]) -> Response:
    """Return a PNG in the XYZ scheme of web maps; where the map has nothing to show it is transparent."""
    return await _tile(drawing, place, SIDE)


@router.get("/legend", response_model_exclude_none=True, summary="What the colours mean", openapi_extra=KEY_OR_LINK)
async def legend(drawing: Drawing, response: Response) -> Legend:
    """Return the legend, with the area and the share of the map that each class covers."""
    response.headers["Cache-Control"] = "no-store"
    output = await drawing.output()
    covered = await drawing.room.coverage(output) if drawing.layer == "map" else None
    return drawing.legend(await drawing.asked(), covered)


@router.get("/legend.png", summary="What the colours mean, as a picture", **PICTURE)
async def legend_picture(drawing: Drawing) -> Response:
    """Return the legend as a PNG."""
    asked = await drawing.asked()
    return await drawing.picture("legend", lambda _: picture(drawing.legend(asked)))


async def _tile(drawing: Drawer, place: Place, side: int) -> Response:
    name = f"{side}.{place.z}.{place.x}.{place.y}"
    return await drawing.picture(name, lambda path: draw(path, place, side, drawing.colours()))
