"""Which addresses callbacks may reach: public ones, and those an operator names; never what lies behind the wall."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final

from jobs.callbacks.targets import Target
from jobs.errors import CallbackRefused
from jobs.settings import Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LookUp = Callable[[str], tuple[str, ...]]

LOOK_UP_SECONDS: Final = 5.0
# One sentence for a name nobody knows and for one that leads inside: the difference would map the network.
NOT_PUBLIC: Final = "the host does not lead to public addresses alone; check its name, or ask the operator to allow it"

# IANA's special-purpose registries, written out: `is_global` of Python differs from version to version.
_SPECIAL_4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
            "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "168.63.129.16/32",  # public by its number, yet the platform of an Azure machine
        ),
    )
)  # fmt: skip
_GLOBAL_6: Final = ipaddress.IPv6Network("2000::/3")
_SPECIAL_6: Final = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
            "2001:db8::/32", "3fff::/20",  # documentation
            "2002::/16",  # 6to4, which carries any IPv4 address
        ),
    )
)  # fmt: skip
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
# How hosts without IPv4 reach it (RFC 6052): as public as the IPv4 address inside.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
# What a name an operator lists may lead to beyond public addresses.
_INSIDE: Final = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
_METADATA: Final = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200")))


def embedded(address: Address) -> Address:
    """Return the IPv4 address an IPv4-mapped or NAT64 address stands for, any other as it is."""
    if isinstance(address, ipaddress.IPv6Address) and (address in _MAPPED or address in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Say whether an address is one of the public internet's unicast addresses."""
    address = embedded(address)
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_4)
    if address not in _GLOBAL_6 or any(address in network for network in _SPECIAL_6):
        return False
    return (int(address) >> 32 & 0xFFFFFFFF) not in _ISATAP


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator's settings let callbacks reach: names in lower case, and networks."""

    allow_http: bool = False
    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Return the rules of the settings."""
        listed = [_entry(text) for text in settings.callback_hosts]
        names = frozenset(entry for entry in listed if isinstance(entry, str))
        return cls(settings.callback_allow_http, names, tuple(e for e in listed if not isinstance(e, str)))

    def check_scheme(self, target: Target) -> None:
        """Raise CallbackRefused for plain http, unless it is allowed."""
        if target.scheme != "https" and not self.allow_http:
            raise CallbackRefused("callbacks go to https only")

    def addresses(self, host: str, look_up: LookUp) -> list[str]:
        """Return the addresses of a host, every one of which may be reached; raises CallbackRefused otherwise."""
        found = [ipaddress.ip_address(text) for text in look_up(host)]
        if not found or not all(self._admit(host, address) for address in found):
            raise CallbackRefused(NOT_PUBLIC)
        return [str(address) for address in found]

    def _admit(self, host: str, address: Address) -> bool:
        real = embedded(address)
        if is_public(address) or _in_any(real, self.networks):
            return True
        return host in self.names and _in_any(real, _INSIDE) and real not in _METADATA


def look_up(host: str) -> tuple[str, ...]:
    """Return every address of a host name or literal, none where it has none or nobody answers within seconds.

    The system's resolver knows no deadline: it is asked in a thread that may end later than the question matters.
    """
    found: SimpleQueue[tuple[str, ...]] = SimpleQueue()

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            answers = []
        found.put(tuple(dict.fromkeys(str(answer[4][0]) for answer in answers)))

    threading.Thread(target=ask, name="callback-look-up", daemon=True).start()
    try:
        return found.get(timeout=LOOK_UP_SECONDS)
    except Empty:
        return ()


def _entry(text: str) -> str | Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text.lower().removesuffix(".")


def _in_any(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
