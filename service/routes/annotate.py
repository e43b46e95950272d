"""The annotation pages: they ask the interface for the project behind the # of their address, and nobody else."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from service.pages import HERE, add_page

router = APIRouter(tags=["Annotation"])

# Walls are pictures the page fetched with its key: blob: addresses of its own.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES: Final = {path.name: path for path in (HERE / "static" / "annotation").iterdir()}

add_page(router, "annotate", _FILES, policy=_POLICY, cache="no-cache")
