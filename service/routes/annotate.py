"""The annotation pages: files of ours alone, which ask the interface for one project and nobody for anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, RedirectResponse

from jobs.public.problems import RequestError

router = APIRouter(tags=["Annotation"])

_HERE: Final = Path(__file__).parent.parent
_FILES: Final = _HERE / "static" / "annotation"
_NAMES: Final = frozenset(path.name for path in _FILES.iterdir())
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# Walls are pictures the page fetched with its key: blob: addresses of its own.
_POLICY: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}


@router.get("/annotate", include_in_schema=False)
def page() -> Response:
    """Return the page; which project it shows stands behind the # of its address and is not sent."""
    return FileResponse(_HERE / "templates" / "annotation.html", media_type="text/html", headers=_POLICY)


@router.get("/annotate/", include_in_schema=False)
def slashed() -> Response:
    """Lead to the page's own address, from which its relative ones start."""
    return RedirectResponse("../annotate", status_code=308)


@router.get("/annotate/{name}", include_in_schema=False)
def part(name: str) -> Response:
    """Return one of the files the page consists of; browsers ask each time whether it is still the same."""
    if name not in _NAMES:
        raise RequestError("not-found", "the annotation page has no such file")
    path = _FILES / name
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": "no-cache"})
