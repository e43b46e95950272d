"""Pages that consist of files of ours: a template, and beside it what it loads by relative addresses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, RedirectResponse

from jobs.public.problems import RequestError

HERE: Final = Path(__file__).parent
MEDIA_TYPES: Final = {
    ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png", ".html": "text/html",
    ".md": "text/markdown",
}  # fmt: skip


def add_page(router: APIRouter, name: str, files: Mapping[str, Path], *, policy: str, cache: str) -> None:
    """Serve templates/<name>.html at /<name>, and each of its files (file name -> path) below it.

    `policy` is the page's Content-Security-Policy, `cache` the Cache-Control of its files. The page's addresses are
    relative, so that it works behind a prefix; /<name>/ leads to it.
    """
    template = HERE / "templates" / f"{name}.html"

    @router.get(f"/{name}", include_in_schema=False)
    def page() -> Response:
        return FileResponse(template, media_type="text/html", headers={"Content-Security-Policy": policy})

    @router.get(f"/{name}/", include_in_schema=False)
    def slashed() -> Response:
        return RedirectResponse(f"../{name}", status_code=308)

    @router.get(f"/{name}/{{name}}", include_in_schema=False)
    def part(name: str) -> Response:
        path = files.get(name)
        if path is None:
            raise RequestError("not-found", "the page has no such file")
        return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers={"Cache-Control": cache})
