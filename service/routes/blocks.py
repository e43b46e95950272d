"""The blocks of a job while it runs, and their draft pictures; as private as the job."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from service.state import Parts
from service.tiles.answers import PICTURE, client_has, headers_of
from service.tiles.blocks import BlockList, blocks_of, draft_of
from service.tiles.tilejson import PNG
from service.tiles.viewer import KEY_OR_LINK, Tiled

router = APIRouter(prefix="/jobs/{job}/blocks", tags=["Jobs"])


@router.get(
    "", response_model_exclude_none=True, summary="The blocks of a job, with draft pictures", openapi_extra=KEY_OR_LINK
)
def block_list(viewer: Tiled, parts: Parts, response: Response) -> BlockList:
    """Return where a job's blocks lie, which are done, and where their pictures are; links are signed, for this job."""
    response.headers["Cache-Control"] = "no-store"
    return blocks_of(viewer, parts)


@router.get("/{block}.png", summary="The draft picture of a block", **PICTURE)
def block_draft(
    viewer: Tiled, parts: Parts, request: Request, block: Annotated[str, Path(description="its id in the list")]
) -> Response:
    """Return a PNG of the likeliest class of every pixel: neither parcels nor filters have had their say."""
    picture = draft_of(viewer.job, block, parts)
    tag = f'"{hashlib.sha256(picture).hexdigest()[:24]}"'
    if client_has(request, tag):
        return Response(status_code=304, headers=headers_of(tag))
    return Response(picture, media_type=PNG, headers=headers_of(tag))
