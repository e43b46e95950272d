"""The map of a finished job as tiles for web pages: TileJSON, tiles, legend; as private as the job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path as File
from typing import Annotated, Any, Final

import anyio
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from jobs.public.problems import RequestError
from jobs.record import OutputFile, RequestRecord
from models.classes import classes_of
from service.finished import finished_output
from service.processes import TITLES
from service.state import Parts, State
from service.tiles.bodies import Layer, Legend, TileJson
from service.tiles.drawing import MAX_ZOOM, SIDE, Place, draw, extent
from service.tiles.legend import class_legend, confidence_legend, picture
from service.tiles.room import MapRoom
from service.tiles.tilejson import PNG, tilejson
from service.tiles.viewer import Tiled

router = APIRouter(prefix="/jobs/{job}", tags=["Tiles"])

_STYLE: Final = 1  # part of every tag: raise it when pictures come to look otherwise
_KEY_OR_LINK: Final[dict[str, Any]] = {"security": [{}]}
_PICTURE: Final[dict[str, Any]] = {
    "openapi_extra": _KEY_OR_LINK,
    "response_class": Response,
    "responses": {
        200: {"content": {PNG: {"schema": {"type": "string", "contentMediaType": PNG}}}},
        304: {"description": "The client has this picture"},
    },
}

Layered = Annotated[Layer, Query(description="what to draw: the classes, or how sure they are")]
Zoom = Annotated[int, Path(ge=0, le=MAX_ZOOM)]
Number = Annotated[int, Path(ge=0, lt=2**MAX_ZOOM)]


@dataclass(frozen=True, slots=True)
class Drawer:
    """What the routes below share: the request, and the layer its caller may see."""

    request: Request
    parts: State
    job: str
    layer: Layer

    async def output(self) -> OutputFile:
        """Return the layer's file; raises as finished_output does."""
        return await anyio.to_thread.run_sync(finished_output, self.job, self.layer, self.parts)

    async def asked(self) -> RequestRecord:
        """Return what was asked."""
        return await anyio.to_thread.run_sync(self.parts.jobs.request, self.job)

    @property
    def room(self) -> MapRoom:
        """Where pictures are drawn."""
        room = self.request.app.state.maps()
        assert isinstance(room, MapRoom)  # noqa: S101 - create_app put it there
        return room

    async def picture(self, name: str, call: Callable[[File], bytes]) -> Response:
        """Return a PNG, or 304 before a file is opened where the client has it."""
        output = await self.output()
        tag = f'"{output.sha256[:24]}.{_STYLE}.{name}"'
        # A client asks again after a few minutes, so that a dismissed job's pictures are soon gone from it as well.
        headers = {
            "ETag": tag, "Cache-Control": "private, max-age=300", "Vary": "Authorization, X-API-Key",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }  # fmt: skip
        if _has(self.request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        return Response(await self.room.work(output, call), media_type=PNG, headers=headers)


def _drawer(viewer: Tiled, request: Request, parts: Parts, layer: Layered = "map") -> Drawer:
    return Drawer(request, parts, viewer.job, layer)


def _place(z: Zoom, x: Number, y: Number) -> Place:
    place = Place(z, x, y)
    if not place.on_earth:
        raise RequestError("not-found", f"zoom {z} has {2**z} x {2**z} tiles, counted from 0")
    return place


Drawing = Annotated[Drawer, Depends(_drawer)]


@router.get("/tiles", summary="The map as tiles: TileJSON", openapi_extra=_KEY_OR_LINK)
async def tiles(drawing: Drawing, viewer: Tiled, response: Response) -> TileJson:
    """Return where the tiles are, for MapLibre, OpenLayers and others; the template is signed, for this job alone."""
    place = await drawing.room.work(await drawing.output(), extent)
    response.headers["Cache-Control"] = "no-store"
    return tilejson(viewer, drawing.layer, place, await drawing.asked(), drawing.parts.settings.public_url)


@router.get("/tiles/{z}/{x}/{y}@2x.png", summary="One tile of 512 pixels", **_PICTURE)
async def large_tile(drawing: Drawing, place: Annotated[Place, Depends(_place)]) -> Response:
    """Return a tile for dense screens."""
    return await _tile(drawing, place, 2 * SIDE)


@router.get("/tiles/{z}/{x}/{y}.png", summary="One tile of 256 pixels", **_PICTURE)
async def tile(drawing: Drawing, place: Annotated[Place, Depends(_place)]) -> Response:
    """Return a PNG in the XYZ scheme of web maps; where the map has nothing to show it is transparent."""
    return await _tile(drawing, place, SIDE)


@router.get("/legend", response_model_exclude_none=True, summary="What the colours mean", openapi_extra=_KEY_OR_LINK)
async def legend(drawing: Drawing, response: Response) -> Legend:
    """Return the legend, with the share of the map that each class covers."""
    asked = await drawing.asked()
    response.headers["Cache-Control"] = "no-store"
    return await drawing.room.work(await drawing.output(), partial(_legend, asked=asked, layer=drawing.layer))


@router.get("/legend.png", summary="What the colours mean, as a picture", **_PICTURE)
async def legend_picture(drawing: Drawing) -> Response:
    """Return the legend as a PNG."""
    asked = await drawing.asked()
    return await drawing.picture("legend", lambda path: picture(_legend(path, asked, drawing.layer)))


async def _tile(drawing: Drawer, place: Place, side: int) -> Response:
    name = f"{side}.{place.z}.{place.x}.{place.y}"
    return await drawing.picture(name, partial(draw, place=place, side=side))


def _legend(path: File, asked: RequestRecord, layer: Layer) -> Legend:
    if layer == "confidence":
        return confidence_legend()
    return class_legend(path, TITLES[asked.process], classes_of(asked.process))


def _has(sent: str, tag: str) -> bool:
    """Say whether an If-None-Match header names a tag, weakly or strongly."""
    return any(one.strip().removeprefix("W/") in {tag, "*"} for one in sent.split(","))
