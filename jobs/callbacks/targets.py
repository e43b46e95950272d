"""Where a callback goes, as far as its URI tells: one strict form, so that nothing reads it in two ways."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from jobs.errors import CallbackRefused

MAX_LENGTH: Final = 2000
PORTS: Final = {"https": 443, "http": 80}
# Ports below stand for mail, shells and their like; a receiver of its own port uses one of those above.
_FIRST_FREE_PORT: Final = 1024
_LAST_PORT: Final = 65535

_FORM: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<literal>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][a-z0-9\-._~:/?\[\]@!$&'()*+,;=%]*)?",
    re.IGNORECASE,
)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# What the C library takes for (a part of) an IPv4 address: decimal, octal, hexadecimal.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_NAME: Final = 253


@dataclass(frozen=True, slots=True)
class Target:
    """A URI taken apart: `host` in lower case and without brackets, `path` with its query, as written."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as the Host header names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(uri: str) -> Target:
    """Take a URI apart; raises CallbackRefused for every form but http(s)://host[:port][/path][?query] in ASCII."""
    if len(uri) > MAX_LENGTH:
        raise CallbackRefused(f"longer than {MAX_LENGTH} characters")
    if "#" in uri:
        raise CallbackRefused("a callback's URI has no fragment: leave out # and what follows")
    if "@" in re.split(r"[/?]", uri.partition("://")[2], maxsplit=1)[0]:
        raise CallbackRefused("no user name or password in a URI: callbacks are signed instead")
    found = _FORM.fullmatch(uri)
    if not found:
        raise CallbackRefused("not of the form https://host[:port]/path?query; names beyond ASCII as xn--…")
    scheme, path = found["scheme"].lower(), found["path"] or "/"
    host = _literal(found["literal"]) if found["literal"] else _name(found["name"].lower())
    port = _port(found["port"], scheme)
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}")


def checked_uri(uri: str) -> str:
    """Return a URI as it came, for pydantic; raises ValueError with what is wrong."""
    try:
        parse_target(uri)
    except CallbackRefused as error:
        raise ValueError(error.detail) from error
    return uri


def _literal(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError as error:
        raise CallbackRefused("what stands in brackets is no IPv6 address") from error


def _name(text: str) -> str:
    name = text.removesuffix(".")
    labels = name.split(".")
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise CallbackRefused("the host is no valid name")
    if _NUMBER.fullmatch(labels[-1]):
        return _dotted(name)
    return name


def _dotted(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise CallbackRefused("an IPv4 address is written as four decimal numbers, like 192.0.2.7") from error


def _port(text: str | None, scheme: str) -> int:
    port = int(text) if text else PORTS[scheme]
    if port != PORTS[scheme] and not _FIRST_FREE_PORT <= port <= _LAST_PORT:
        raise CallbackRefused(f"port {port} is not allowed: use {PORTS[scheme]}, or {_FIRST_FREE_PORT} and above")
    return port
