"""Tells who sends a request, by the key in its headers, and counts it against the limits."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final

import anyio
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import Scope as Asked

from jobs.errors import Forbidden, TooManyRequests, Unauthorized
from jobs.keys import KEY_TEXT, SCOPES, KeyRecord, Scope, opens, widened
from jobs.loopback import is_loopback
from jobs.public.problems import RequestError
from jobs.rates import LocalRates
from jobs.record import PUBLIC
from jobs.settings import Settings
from service.state import State

# Where in the ASGI scope the headers lie that the gate adds to the answer, whatever it is.
ADDED: Final = "cityzones.headers"
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_HOW: Final = "send a key as Authorization: Bearer or X-API-Key"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the tenant everything is kept under, what they may, and by which key (None in open mode)."""

    tenant: str
    scopes: frozenset[Scope]
    key: str | None = None

    def check(self, scope: Scope) -> None:
        """Raise Forbidden unless the caller has the scope."""
        if scope not in self.scopes:
            msg = f"this key may {' and '.join(s for s in SCOPES if s in self.scopes)}; this takes one that may {scope}"
            raise Forbidden(msg)


OPEN: Final = Caller(PUBLIC, frozenset(SCOPES))


class Doorkeeper:
    """Knows callers by their keys. What was asked a moment ago is answered on the event loop, without a thread."""

    def __init__(self, state: State) -> None:
        self._open = state.settings.auth == "open"
        self._failures_allowed = state.settings.failures_per_minute
        self._failures = LocalRates()
        self._ring, self._tenants, self._rates = state.ring, state.tenants, state.rates

    async def admit(self, scope: Asked) -> Caller:
        """Return who sends a request, and count it.

        Raises Unauthorized, RequestError for two different keys, TooManyRequests, and StorageUnavailable.
        """
        caller = OPEN if self._open else await self._known(scope)
        limits = self._tenants.recalled(caller.tenant)
        if limits is None:
            limits = await anyio.to_thread.run_sync(self._tenants.limits, caller.tenant)
        if limits.requests_per_minute:
            rate = await self._rates.take(caller.tenant, limits.requests_per_minute)
            scope.setdefault(ADDED, {}).update(rate.headers)
            if not rate.allowed:
                msg = f"{limits.requests_per_minute} requests a minute are allowed; wait {rate.retry_after} s"
                raise TooManyRequests(msg, retry_after=rate.retry_after)
        return caller

    async def _known(self, scope: Asked) -> Caller:
        sent = key_in(Headers(scope=scope))
        if sent is None:
            raise self._failed(scope, f"this needs a key: {_HOW}")
        parts = KEY_TEXT.fullmatch(sent)
        if parts is None:
            raise self._failed(scope, "this is no key: keys start with cz_ and are given out by the operator")
        identifier, secret = parts.groups()
        record = await self._record(identifier, scope)
        if not opens(record, secret) or record is None:
            raise self._failed(scope, "this key is unknown, has expired or was revoked")
        return Caller(record.tenant, widened(record.scopes), record.id)

    async def _record(self, identifier: str, scope: Asked) -> KeyRecord | None:
        """Return a key's record. Who failed too often has no further strange ids looked up."""
        if self._ring.recalls(identifier):
            return self._ring.look_up(identifier)
        if self._failures_allowed and not self._ring.met(identifier):
            spent = self._failures.spent(network_of(address_of(scope)), self._failures_allowed)
            if spent:
                raise _too_often(spent.retry_after)
        return await anyio.to_thread.run_sync(self._ring.look_up, identifier)

    def _failed(self, scope: Asked, detail: str) -> Unauthorized | TooManyRequests:
        if self._failures_allowed:
            rate = self._failures.take(network_of(address_of(scope)), self._failures_allowed)
            if not rate.allowed:
                return _too_often(rate.retry_after)
        return Unauthorized(detail)


def key_in(headers: Headers) -> str | None:
    """Return the key a request carries, or None; raises RequestError where its headers carry two."""
    sent = {value.strip() for value in headers.getlist("x-api-key")}
    for value in headers.getlist("authorization"):
        scheme, _, rest = value.partition(" ")
        if scheme.lower() == "bearer":
            sent.add(rest.strip())
    if len(sent) > 1:
        raise RequestError("malformed-request", f"the headers carry different keys: {_HOW}, once")
    return sent.pop() if sent else None


def address_of(scope: Asked) -> str:
    """Return the client's address, or an empty text where the server does not say."""
    client: Any = scope.get("client")
    return str(client[0]) if client else ""


def network_of(address: str) -> str:
    """Return what one client can choose its addresses from: of IPv6 the first 64 bits, of IPv4 the address itself."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, 64), strict=False))
    return address


def comes_directly(scope: Asked) -> bool:
    """Say whether a request comes from this machine, and through no proxy, which could speak for any other."""
    headers = Headers(scope=scope)
    return is_loopback(address_of(scope)) and not any(name in headers for name in _FORWARDED)


def check_scraper(scope: Asked, settings: Settings) -> None:
    """Raise Unauthorized unless a request may read the metrics: by their own key, or from this machine if none is set.

    They tell of all tenants, so that no tenant's key opens them.
    """
    if settings.metrics_key is None:
        if not comes_directly(scope):
            raise Unauthorized("metrics are told to this machine alone; the operator may set CITYZONES_METRICS_KEY")
    elif not hmac.compare_digest((key_in(Headers(scope=scope)) or "").encode(), _secret(settings.metrics_key)):
        raise Unauthorized("metrics need their own key, as Authorization: Bearer")


def _secret(value: SecretStr) -> bytes:
    return value.get_secret_value().encode()


def _too_often(wait: int) -> TooManyRequests:
    return TooManyRequests(
        f"too many requests without a good key came from this address; wait {wait} s", retry_after=wait
    )
