"""What the web page asks before anything else: how callers are told, where its base map is from, how files are sent."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Response
from fastapi.responses import FileResponse

from jobs.public.bodies import Body
from jobs.settings import Settings
from jobs.uploads import Way
from service import bundle
from service.announced import way_of
from service.pages import HERE
from service.processes import software_version
from service.state import Parts

router = APIRouter(tags=["Discovery"])


class Basemap(Body):
    """Raster tiles by an XYZ template; `attribution` is text, no markup."""

    tiles: str
    attribution: str
    maxzoom: int


class PageLimits(Body):
    """Bytes that an uploaded file may have, and seconds that a link works."""

    max_upload_bytes: int
    link_seconds: int


class PageFacts(Body):
    """What the page is told; without a base map it draws a graticule."""

    version: str
    auth: Literal["keys", "open"]
    basemap: Basemap | None
    limits: PageLimits
    uploads: Way


@router.get("/assets/{name}", include_in_schema=False)
def part(name: str, accept_encoding: Annotated[str, Header()] = "") -> Response:
    """Return a file of the page; its name changes with its content."""
    return bundle.asset(name, accept_encoding)


@router.get("/icon.svg", include_in_schema=False)
def icon() -> Response:
    """Return what browsers show beside the title."""
    return FileResponse(HERE / "static" / "annotation" / "icon.svg", media_type="image/svg+xml")


@router.get("/page.json", include_in_schema=False)
def page_facts(parts: Parts, response: Response) -> PageFacts:
    """Return what the page needs to know of this service; nothing of it is secret."""
    settings = parts.settings
    response.headers["Cache-Control"] = "no-cache"
    limits = PageLimits(max_upload_bytes=settings.max_upload_bytes, link_seconds=settings.link_seconds)
    return PageFacts(
        version=software_version(), auth=settings.auth, basemap=_basemap(settings), limits=limits,
        uploads=way_of(settings),
    )  # fmt: skip


def _basemap(settings: Settings) -> Basemap | None:
    if not settings.basemap_url:
        return None
    return Basemap(
        tiles=settings.basemap_url, attribution=settings.basemap_attribution or "", maxzoom=settings.basemap_maxzoom
    )
