"""The base map that web pages draw below maps of ours: where its tiles come from, checked when a program starts."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from jobs.loopback import is_loopback

# The origin becomes part of a page's Content-Security-Policy, whose grammar knows names and IPv4 addresses alone.
_TEMPLATE: Final = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[!\"$-~]*")
_PLACEHOLDERS: Final = ("{z}", "{x}", "{y}")
_MARKUP: Final = re.compile(r"[<>\x00-\x1f\x7f-\x9f]")
_LONGEST: Final = 300


def check_basemap(tiles: str, attribution: str | None, public_url: str) -> None:
    """Raise ValueError, naming the setting, unless tiles and their attribution can be shown on pages of `public_url`.

    `tiles` is an XYZ template of raster tiles; `attribution` is text, and never left out: every source asks for it.
    """
    _check_template(tiles)
    parts = urlsplit(tiles)
    if urlsplit(public_url).scheme == "https" and parts.scheme == "http" and not is_loopback(parts.hostname):
        msg = "CITYZONES_BASEMAP_URL is http, which browsers do not load into a page of https: use https"
        raise ValueError(msg)
    if not attribution or not attribution.strip():
        msg = "CITYZONES_BASEMAP_URL is set without CITYZONES_BASEMAP_ATTRIBUTION, which must be shown with the tiles"
        raise ValueError(msg)
    if len(attribution) > _LONGEST or _MARKUP.search(attribution):
        msg = f"CITYZONES_BASEMAP_ATTRIBUTION is text of at most {_LONGEST} characters, without markup or line ends"
        raise ValueError(msg)


def tiles_origin(tiles: str) -> str:
    """Return the origin (scheme, host, port) of a template that was checked."""
    parts = urlsplit(tiles)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _check_template(tiles: str) -> None:
    rest = tiles
    for placeholder in _PLACEHOLDERS:
        if tiles.count(placeholder) != 1:
            msg = (
                "CITYZONES_BASEMAP_URL must hold {z}, {x} and {y}, each once: https://tiles.example.org/{z}/{x}/{y}.png"
            )
            raise ValueError(msg)
        rest = rest.replace(placeholder, "0")
    if set(rest) & set("{}"):
        msg = "CITYZONES_BASEMAP_URL holds a placeholder beside {z}, {x} and {y}; of several hosts ({s}) name one"
        raise ValueError(msg)
    if not _TEMPLATE.fullmatch(tiles):
        msg = (
            "CITYZONES_BASEMAP_URL must be http(s)://host[:port]/… in ASCII, without user or password, IPv6 or fragment"
        )
        raise ValueError(msg)
