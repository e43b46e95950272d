"""Keys of the caller's tenant, and what the tenant has used."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from jobs.errors import KeysNotUsed, UnknownKey
from jobs.keys import NewKey
from jobs.public.tenancy import (
    KeyList,
    KeyMade,
    KeyShown,
    KeyWish,
    Limits,
    Rotation,
    Usage,
    Used,
    key_made,
    key_shown,
)
from jobs.record import now
from service.access import Admin, Caller, Reader
from service.state import Parts, State

router = APIRouter(tags=["Keys"])


async def keyed(caller: Admin) -> Caller:
    """Return an administrator who came with a key; raises KeysNotUsed in open mode."""
    if caller.key is None:
        raise KeysNotUsed("this service asks for no keys; there is no tenant to make them for")
    return caller


Keyed = Annotated[Caller, Depends(keyed)]


def own_key(key_id: str, caller: Keyed, parts: Parts) -> str:
    """Return the id of a key of the caller's tenant; raises UnknownKey for any other, as if it did not exist."""
    if parts.keys.find(key_id).tenant != caller.tenant:
        raise UnknownKey("there is no such key")
    return key_id


OwnKey = Annotated[str, Depends(own_key)]


@router.get("/keys", response_model_exclude_none=True, summary="List the tenant's keys")
def key_list(caller: Keyed, parts: Parts) -> KeyList:
    """Return every key that is not revoked, without its secret."""
    return KeyList(keys=[key_shown(record) for record in parts.keys.of(caller.tenant)])


@router.post("/keys", status_code=201, response_model_exclude_none=True, summary="Make a key")
def make_key(wish: KeyWish, caller: Keyed, parts: Parts, response: Response) -> KeyMade:
    """Make a key for the caller's tenant. Its text is in this answer and nowhere else."""
    expires = now() + timedelta(days=wish.days) if wish.days else None
    return _made(parts.keys.create(caller.tenant, wish.scopes, name=wish.name, expires=expires), response, parts)


@router.get("/keys/{key_id}", response_model_exclude_none=True, summary="What a key may do")
def show_key(key_id: OwnKey, parts: Parts) -> KeyShown:
    """Return a key without its secret."""
    return key_shown(parts.keys.find(key_id))


@router.delete("/keys/{key_id}", status_code=204, summary="Revoke a key")
def revoke_key(key_id: OwnKey, parts: Parts) -> None:
    """End a key for good, within the seconds keys are remembered. Doing it twice is doing it once."""
    parts.keys.revoke(key_id)


@router.post("/keys/{key_id}/rotate", status_code=201, response_model_exclude_none=True, summary="Replace a key")
def rotate_key(key_id: OwnKey, parts: Parts, response: Response, wish: Rotation | None = None) -> KeyMade:
    """Make a key that opens the same; the old one still opens for the grace told."""
    return _made(parts.keys.rotate(key_id, grace=timedelta(hours=(wish or Rotation()).grace_hours)), response, parts)


@router.get("/usage", response_model_exclude_none=True, summary="The tenant's limits, and what is used of them")
def usage(caller: Reader, parts: Parts) -> Usage:
    """Return how much the tenant may use and has used."""
    limits = {name: value or None for name, value in parts.tenants.limits(caller.tenant).model_dump().items()}
    used = Used(
        running_jobs=parts.quotas.running(caller.tenant),
        km2_this_month=parts.quotas.km2(caller.tenant),
        upload_bytes=parts.uploads.ledger.kept(caller.tenant),
    )
    return Usage(tenant=caller.tenant, limits=Limits(**limits), used=used)


def _made(made: NewKey, response: Response, parts: State) -> KeyMade:
    response.headers["Location"] = f"{parts.settings.public_url}/keys/{made.record.id}"
    response.headers["Cache-Control"] = "no-store"  # it holds a secret
    return key_made(made)
