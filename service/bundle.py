"""The built web page (web/, built into service/static/web): its files, in the smallest form that a client takes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi.responses import FileResponse, Response

from jobs.public.problems import RequestError
from service.accepted import weight
from service.pages import HERE, MEDIA_TYPES

FOLDER: Final = HERE / "static" / "web"
_ENCODINGS: Final = {"br": ".br", "gzip": ".gz"}  # the smaller one first
_A_YEAR: Final = "public, max-age=31536000, immutable"


def is_built() -> bool:
    """Say whether the page was built; a checkout without Node.js has none."""
    return (FOLDER / "index.html").is_file()


def index(accept_encoding: str, headers: dict[str, str]) -> Response:
    """Return the page itself; its files are named by their content, it is not: clients ask whether it changed."""
    return _file(FOLDER / "index.html", accept_encoding, {"Cache-Control": "no-cache"} | headers)


def asset(name: str, accept_encoding: str) -> Response:
    """Return a file of the page by its name; raises RequestError (not-found) for any other."""
    path = _assets().get(name)
    if path is None:
        raise RequestError("not-found", "the page has no such file")
    return _file(path, accept_encoding, {"Cache-Control": _A_YEAR})


def _assets() -> dict[str, Path]:
    folder = FOLDER / "assets"
    return {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}


def _file(path: Path, accept_encoding: str, headers: dict[str, str]) -> Response:
    told = {"Vary": "Accept-Encoding"} | headers
    kind = MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    for encoding, suffix in _ENCODINGS.items():
        small = path.with_name(path.name + suffix)
        if weight(accept_encoding, encoding) and small.is_file():
            return FileResponse(small, media_type=kind, headers=told | {"Content-Encoding": encoding})
    return FileResponse(path, media_type=kind, headers=told)
