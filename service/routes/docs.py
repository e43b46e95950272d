"""The contract as a page to read and try: Swagger UI from files of ours, which loads nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter

from service.pages import HERE, add_page

router = APIRouter(tags=["Discovery"])

_SWAGGER: Final = Path(str(files("fastapi_offline"))) / "static"
_FILES: Final = {
    **{name: _SWAGGER / name for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")},
    "start.js": HERE / "static" / "docs" / "start.js",
}
# Swagger UI styles elements one by one and draws its icons from data: addresses; everything else is a file of ours.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

add_page(router, "docs", _FILES, policy=_POLICY, cache="public, max-age=86400")
