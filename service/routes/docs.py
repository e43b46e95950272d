"""The contract as a page to read and try: Swagger UI from files of ours, which loads nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, RedirectResponse

from jobs.public.problems import RequestError

router = APIRouter(tags=["Discovery"])

_HERE: Final = Path(__file__).parent.parent
_SWAGGER: Final = Path(str(files("fastapi_offline"))) / "static"
_FILES: Final = {
    "swagger-ui-bundle.js": _SWAGGER,
    "swagger-ui.css": _SWAGGER,
    "favicon.png": _SWAGGER,
    "start.js": _HERE / "static" / "docs",
}
_DAY: Final = {"Cache-Control": "public, max-age=86400"}
# Swagger UI styles elements one by one and draws its icons from data: addresses; everything else is a file of ours.
_POLICY: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}


@router.get("/docs", include_in_schema=False)
def page() -> Response:
    """Return the page; every address in it is relative, so that it works behind a prefix."""
    return FileResponse(_HERE / "templates" / "docs.html", media_type="text/html", headers=_POLICY)


@router.get("/docs/", include_in_schema=False)
def slashed() -> Response:
    """Lead to the page's own address, from which its relative ones start."""
    return RedirectResponse("../docs", status_code=308)


@router.get("/docs/{name}", include_in_schema=False)
def part(name: str) -> Response:
    """Return one of the files the page consists of."""
    folder = _FILES.get(name)
    if folder is None:
        raise RequestError("not-found", "the documentation has no such file")
    return FileResponse(folder / name, headers=_DAY)
