"""What a finished map says of a place; as private as its tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Query, Request, Response

from service.finished import finished_result, output_of
from service.state import Parts
from service.tiles.bodies import Here
from service.tiles.point import FinishedMap
from service.tiles.room import room_of
from service.tiles.viewer import KEY_OR_LINK, Tiled

router = APIRouter(prefix="/jobs/{job}", tags=["Tiles"])


@dataclass(frozen=True, slots=True)
class Place:
    """The place that is asked about."""

    lon: Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False, description="degrees east")]
    lat: Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, description="degrees north")]


@router.get("/point", response_model_exclude_none=True, summary="What is at a place", openapi_extra=KEY_OR_LINK)
async def point(
    viewer: Tiled, place: Annotated[Place, Depends()], request: Request, parts: Parts, response: Response
) -> Here:
    """Return the pixel and the parcel there; of what the job has no output for, nothing is said."""
    result = await anyio.to_thread.run_sync(finished_result, viewer.job, parts)
    output_of(result, "map")
    asked = await anyio.to_thread.run_sync(parts.jobs.request, viewer.job)
    response.headers["Cache-Control"] = "no-store"
    return await FinishedMap(result.outputs, asked.process, room_of(request)).at(place.lon, place.lat)
