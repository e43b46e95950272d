"""The secret that a tenant's callbacks are signed with."""

from __future__ import annotations

from fastapi import APIRouter, Response

from jobs.callbacks.signing import secrets_of, shown
from jobs.public.bodies import CallbackSecret
from jobs.public.problems import RequestError
from service.access import Admin
from service.state import Parts

router = APIRouter(tags=["Callbacks"])


@router.get("/callbacks/secret", response_model_exclude_none=True, summary="The secret callbacks are signed with")
def callback_secret(caller: Admin, parts: Parts, response: Response) -> CallbackSecret:
    """Return the tenant's secret for a library of Standard Webhooks, and the one before while it is rotated out."""
    found = [shown(secret) for secret in secrets_of(caller.tenant, parts.settings)]
    if not found:
        raise RequestError("not-found", "this service signs no callbacks: its operator has set no secret for them")
    response.headers["Cache-Control"] = "no-store"
    return CallbackSecret(tenant=caller.tenant, secret=found[0], previous=found[1] if found[1:] else None)
