"""An annotation project: how far it is, its clusters and masks, pictures of them, and the edits of its annotators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from jobs.annotation.edits import Label, Split
from jobs.errors import InvalidEdit
from jobs.public.annotation import Annotation, ClusterList, History, MaskList, NewEdit, Saved, TileMasks
from models.classes import LAND_COVER
from service.access import OwnJob, Submitter
from service.annotation import views
from service.annotation.pictures import image_of, labels_of, wall
from service.annotation.room import OpenProject, ProjectRoom
from service.finished import finished_result
from service.state import Parts

router = APIRouter(prefix="/jobs/{job}/annotation", tags=["Annotation"])

MOST_ON_A_WALL: Final = 200
_CODES: Final = frozenset({0, *(c.code for c in LAND_COVER)})
_HELD: Final = {"Cache-Control": "private, max-age=3600", "Vary": "Authorization, X-API-Key"}
_JPEG, _PNG = "image/jpeg", "image/png"


def _picture(kind: str) -> dict[str, Any]:
    content = {kind: {"schema": {"type": "string", "contentMediaType": kind}}}
    return {"response_class": Response, "responses": {200: {"content": content}}}


def _room(request: Request) -> ProjectRoom:
    room = request.app.state.projects()
    assert isinstance(room, ProjectRoom)  # noqa: S101 - create_app put it there
    return room


def _opened(job: OwnJob, parts: Parts, room: Annotated[ProjectRoom, Depends(_room)]) -> OpenProject:
    finished_result(job, parts)
    return room.project(job)


Opened = Annotated[OpenProject, Depends(_opened)]
Room = Annotated[ProjectRoom, Depends(_room)]
Number = Annotated[int, Path(ge=0, lt=2**31)]
Offset = Annotated[int, Query(ge=0, lt=2**31)]
Code = Annotated[int | None, Query(ge=0, le=255, description="only masks that the classifier says are of this class")]


def _here(job: str, parts: Parts) -> str:
    return f"{parts.settings.public_url}/jobs/{job}/annotation"


@router.get("", response_model_exclude_none=True, summary="How far an annotation project is")
def annotation(job: OwnJob, opened: Opened, parts: Parts, response: Response) -> Annotation:
    """Return version, classes, tiles and neighbourhoods, how many masks have a class, and how many clicks that took."""
    response.headers["Cache-Control"] = "no-store"
    return views.annotation(opened, _here(job, parts))


@router.get("/neighbourhoods/{number}", response_model_exclude_none=True, summary="The clusters of a neighbourhood")
def clusters(opened: Opened, number: Number) -> ClusterList:
    """Return the clusters that stand now, largest first, with the votes of their masks."""
    return views.clusters(opened, number)


@router.get(
    "/neighbourhoods/{number}/clusters/{node}", response_model_exclude_none=True, summary="The masks of a cluster"
)
def cluster_masks(
    *,
    job: OwnJob,
    opened: Opened,
    parts: Parts,
    number: Number,
    node: Number,
    predicted: Code = None,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ON_A_WALL)] = 60,
) -> MaskList:
    """Return a page of a cluster's masks, those most alike side by side."""
    here = f"{_here(job, parts)}/neighbourhoods/{number}/clusters/{node}"
    return views.masks_of_cluster(
        opened, number, node, predicted=predicted, page=slice(offset, offset + limit), url=here
    )


@router.get("/wall", summary="Masks as one picture", **_picture(_JPEG))
def mask_wall(
    opened: Opened,
    room: Room,
    masks: Annotated[str, Query(pattern=r"^\d{1,9}(,\d{1,9})*$", description="numbers of masks, with commas between")],
    columns: Annotated[int, Query(ge=1, le=20)] = 10,
) -> Response:
    """Return a JPEG of masks in the order they are named, 96 pixels each: outlined in yellow, in a red box."""
    numbers = [int(number) for number in masks.split(",")]
    if len(numbers) > MOST_ON_A_WALL:
        msg = f"a wall shows at most {MOST_ON_A_WALL} masks; ask for several"
        raise InvalidEdit(msg)
    views.check_masks(opened, numbers)
    return Response(wall(opened, room, numbers, columns), media_type=_JPEG, headers=_HELD)


@router.get("/tiles/{tile}", response_model_exclude_none=True, summary="The masks of a tile")
def masks_of_tile(opened: Opened, tile: Number) -> TileMasks:
    """Return class and prediction of every mask of a tile, in the order of their labels."""
    return views.tile_masks(opened, tile)


@router.get("/tiles/{tile}/image", summary="A tile's image", **_picture(_JPEG))
def tile_image(opened: Opened, room: Room, tile: Number) -> Response:
    """Return a tile as a JPEG."""
    return _drawn(opened, tile, _JPEG, lambda: image_of(room.tile(opened, tile)))


@router.get("/tiles/{tile}/labels", summary="A tile's masks as a picture", **_picture(_PNG))
def tile_labels(opened: Opened, room: Room, tile: Number) -> Response:
    """Return which mask each pixel belongs to as a PNG: label = red + 256 green + 65536 blue, 0 for none."""
    return _drawn(opened, tile, _PNG, lambda: labels_of(room.tile(opened, tile)))


@router.post("/edits", status_code=201, summary="Label masks, split a cluster, or take an edit back")
def save_edit(_: Submitter, opened: Opened, new: NewEdit) -> Saved:
    """Save an edit at once. What somebody else did meanwhile to the same masks or cluster is told, not overwritten."""
    _check(opened, new)
    return Saved(version=opened.save(new.edit, base=new.base, who=new.who).version)


@router.get("/history", response_model_exclude_none=True, summary="Who did what")
def edit_history(
    *,
    job: OwnJob,
    opened: Opened,
    parts: Parts,
    before: Annotated[int | None, Query(ge=1, lt=2**31, description="only versions before this one")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> History:
    """Return a page of edits, newest first."""
    return views.history(opened, before, limit, f"{_here(job, parts)}/history")


def _drawn(opened: OpenProject, tile: int, kind: str, draw: Callable[[], bytes]) -> Response:
    views.check_tile(opened, tile)
    return Response(draw(), media_type=kind, headers=_HELD)


def _check(opened: OpenProject, new: NewEdit) -> None:
    """Raise InvalidEdit for an edit of what the project does not have."""
    edit = new.edit
    if isinstance(edit, Label):
        views.check_masks(opened, edit.masks)
        if edit.code not in _CODES:
            msg = f"there is no class {edit.code}; classes are numbered 1 to {max(_CODES)}, 0 takes a label away"
            raise InvalidEdit(msg)
    elif isinstance(edit, Split):
        opened.tree(edit.neighbourhood).halves(edit.node)
