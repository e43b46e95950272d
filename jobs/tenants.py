"""What a tenant may use: the settings' limits, and where the operator gave a tenant others, those."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from jobs.errors import InvalidRequest
from jobs.record import PUBLIC
from jobs.remembered import Remembered
from jobs.settings import Settings
from jobs.storage import Storage

_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_REMEMBERED: Final = 10_000


class TenantLimits(BaseModel):
    """What a tenant may use; 0 is no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_minute: int = Field(ge=0)
    running_jobs: int = Field(ge=0, description="jobs without an end")
    km2_per_month: float = Field(ge=0, description="square kilometres mapped in a month of UTC")
    upload_bytes: int = Field(ge=0, description="bytes of all uploads kept")


def check_tenant(name: str) -> str:
    """Return a tenant's name; raises InvalidRequest for one that cannot be given."""
    if not _TENANT.fullmatch(name):
        msg = f"{name[:60]!r} is no tenant: use up to 40 lower-case letters, digits and hyphens"
        raise InvalidRequest(msg)
    if name == PUBLIC:
        msg = f"the tenant {PUBLIC!r} is kept for the open mode; choose another name"
        raise InvalidRequest(msg)
    return name


class TenantStore:
    """Limits by tenant; tenants/<tenant>/tenant.json holds those that differ from the settings."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage = storage
        self._usual = TenantLimits(
            requests_per_minute=settings.requests_per_minute,
            running_jobs=settings.running_jobs,
            km2_per_month=settings.km2_per_month,
            upload_bytes=settings.upload_bytes,
        )
        self._known: Remembered[str, TenantLimits] = Remembered(seconds=settings.key_cache_seconds, most=_REMEMBERED)

    def recalled(self, tenant: str) -> TenantLimits | None:
        """Return a tenant's limits where no storage is needed for that; the open mode's are the settings'."""
        return self._usual if tenant == PUBLIC else self._known.get(tenant)

    def limits(self, tenant: str) -> TenantLimits:
        """Return a tenant's limits, seconds old at most; raises StorageUnavailable."""
        return self.recalled(tenant) or self._known.put(tenant, self._with(self._own(tenant)))

    def change(self, tenant: str, changes: dict[str, Any]) -> TenantLimits:
        """Set some of a tenant's limits and return all of them; raises InvalidRequest for names no tenant has."""
        own = self._own(check_tenant(tenant)) | changes
        changed = self._with(own)
        kept = changed.model_dump_json(include=set(own), indent=1)
        self._storage.put(_key(tenant), kept.encode())
        return self._known.put(tenant, changed)

    def _own(self, tenant: str) -> dict[str, Any]:
        return dict(self._storage.get_json(_key(tenant)) or {})

    def _with(self, own: dict[str, Any]) -> TenantLimits:
        return TenantLimits.model_validate(self._usual.model_dump() | own)


def _key(tenant: str) -> str:
    return f"tenants/{tenant}/tenant.json"
