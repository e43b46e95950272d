"""Which addresses and host names are this machine's own."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit


def is_loopback(host: str | None) -> bool:
    """Say whether a host name or address without a port can only mean this machine."""
    name = (host or "").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def hostname(url: str) -> str | None:
    """Return the host a URL, an Origin or, after `//`, a Host header names; None where it names none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
