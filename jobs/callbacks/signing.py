"""Signs callbacks as Standard Webhooks says, with a secret for each tenant that is derived and never stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from jobs.settings import Settings

_PURPOSE: Final = b"cityzones callbacks, version 1\n"


def secrets_of(tenant: str, settings: Settings) -> tuple[bytes, ...]:
    """Return a tenant's secrets (32 bytes each), the current first, then the previous one while it is rotated out.

    Each is an HMAC-SHA256 of the tenant's name under the operator's own: knowing one tells nothing of another's.
    None where the operator has set none.
    """
    masters = (settings.callback_secret, settings.callback_secret_previous)
    return tuple(
        hmac.digest(master.get_secret_value().encode(), _PURPOSE + tenant.encode(), hashlib.sha256)
        for master in masters
        if master
    )


def shown(secret: bytes) -> str:
    """Return a secret as Standard Webhooks' libraries take it."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def headers(message: str, timestamp: int, body: bytes, secrets: tuple[bytes, ...]) -> dict[str, str]:
    """Return webhook-id, webhook-timestamp (Unix seconds) and webhook-signature, one signature a secret."""
    content = f"{message}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode() for secret in secrets)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
