"""The bodies of keys and of usage, as the interface takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from jobs.keys import KeyRecord, NewKey, Scope
from jobs.public.bodies import WHOLE, Body

_LONGEST_DAYS = 3650
_WEEK_HOURS = 168


def _printable(name: str) -> str:
    if not name.isprintable():
        msg = "use printable characters only"
        raise ValueError(msg)
    return name


class KeyWish(Body):
    """A key to be made."""

    scopes: list[Scope] = Field(min_length=1, max_length=3, description="admin implies submit, submit implies read")
    name: Annotated[str, AfterValidator(_printable)] = Field("", max_length=100, description="what it is for")
    days: Annotated[int, Field(strict=True, ge=1, le=_LONGEST_DAYS), WHOLE] | None = Field(
        None, description="until it expires; never if absent"
    )


class Rotation(Body):
    """How a key is replaced."""

    grace_hours: Annotated[int, Field(strict=True, ge=0, le=_WEEK_HOURS), WHOLE] = Field(
        24, description="hours for which the old key still opens"
    )


class KeyShown(Body):
    """A key without its secret."""

    id: str
    name: str
    scopes: list[Scope]
    created: datetime
    expires: datetime | None = None


class KeyMade(KeyShown):
    """A key that was just made: `key` is shown this once."""

    key: str


class KeyList(Body):
    """A tenant's keys that are not revoked, oldest first."""

    keys: list[KeyShown]


class Limits(Body):
    """What a tenant may use; what is absent has no limit."""

    requests_per_minute: int | None = None
    running_jobs: int | None = None
    km2_per_month: float | None = None
    upload_bytes: int | None = None


class Used(Body):
    """What a tenant has used; running jobs are counted only under a limit."""

    running_jobs: int | None = None
    km2_this_month: float
    upload_bytes: int


class Usage(Body):
    """A tenant's limits, and what is used of them."""

    tenant: str
    limits: Limits
    used: Used


def key_shown(record: KeyRecord) -> KeyShown:
    """Return a key as it is shown."""
    return KeyShown.model_validate(record.model_dump(include=set(KeyShown.model_fields)))


def key_made(made: NewKey) -> KeyMade:
    """Return a new key with its text."""
    return KeyMade(**key_shown(made.record).model_dump(), key=made.text)
