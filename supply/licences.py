"""The licences of everything that ships: read off the bills of materials, judged by licences.toml, told in a page."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

from boolean import Expression
from license_expression import ExpressionError, LicenseWithExceptionSymbol, get_spdx_licensing
from packaging.utils import canonicalize_name

from supply.sbom import BILLS, Bill

UNKNOWN: Final = "unknown"
_SPDX: Final = get_spdx_licensing()
_TITLES: Final = {
    "main": "Python, service and worker (requirements/main.txt)",
    "triton": "Python, model server (requirements/triton.txt)",
    "web": "Web page (web/package-lock.json, without what only builds it)",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """licences.toml: what is allowed, which copyleft is fine for whom and why, and what metadata leave open."""

    allowed: frozenset[str]
    copyleft: Mapping[tuple[str, str], str]
    names: Mapping[str, str]
    vague: frozenset[str]
    stated: Mapping[str, str]
    libraries: Mapping[str, str]

    @classmethod
    def read(cls) -> Policy:
        """Return what the file says."""
        told = tomllib.loads(Path(__file__).with_name("licences.toml").read_text())
        reasons = {(part, each["licence"]): each["because"] for each in told["copyleft"] for part in each["parts"]}
        return cls(
            frozenset(told["allowed"]), reasons, told["names"], frozenset(told["vague"]["names"]), told["stated"],
            told["libraries"],
        )  # fmt: skip

    def fits(self, part: str, licence: str) -> bool:
        """Whether a part under this SPDX expression may ship: of alternatives one suffices, of several all count."""
        try:
            return licence in self.vague or self._fits(part, _SPDX.parse(licence))
        except ExpressionError:
            return False

    def _fits(self, part: str, told: Expression) -> bool:
        if (part, str(told)) in self.copyleft:
            return True
        if isinstance(told, LicenseWithExceptionSymbol):
            return {told.license_symbol.key, told.exception_symbol.key} <= self.allowed
        if isinstance(told, _SPDX.OR):
            return any(self._fits(part, each) for each in told.args)
        if isinstance(told, _SPDX.AND):
            return all(self._fits(part, each) for each in told.args)
        return str(told) in self.allowed


@dataclass(frozen=True, slots=True)
class Part:
    """A package, or a library within one (`within`, the package's name), and its licence."""

    name: str
    version: str
    licence: str
    within: str = ""


def packages(bill: Bill, policy: Policy) -> list[Part]:
    """Return the packages of a bill with their licences."""
    return [Part(each["name"], each["version"], licence_of(each, policy)) for each in bill["components"]]


def licence_of(component: Mapping[str, Any], policy: Policy) -> str:
    """Return one SPDX expression, a classifier that is vague where nothing else is told, or UNKNOWN."""
    told = [each.get("expression") or _named(each["license"], policy) for each in component.get("licenses", ())]
    told = list(dict.fromkeys(each for each in told if each))
    clear = [each for each in told if each not in policy.vague]
    if len(clear) == 1:
        return clear[0]
    if clear:
        return " AND ".join(f"({each})" if " " in each else each for each in clear)
    return policy.stated.get(component["name"], told[0] if told else UNKNOWN)


def _named(licence: Mapping[str, str], policy: Policy) -> str:
    told = licence.get("id") or licence["name"]
    return policy.names.get(told, told)


def libraries(bill: Bill, policy: Policy) -> Iterator[Part]:
    """Yield the shared libraries that the wheels of a bill brought along in folders of their own."""
    for component in bill["components"]:
        files = distribution(component["name"]).files or []
        for file in sorted(str(each) for each in files if each.parts[0].endswith(".libs") and ".so" in each.name):
            name, _, rest = Path(file).name.partition("-")
            while rest and name not in policy.libraries and "-" in rest:  # libpcre2-8, libjson-c
                name, rest = f"{name}-{rest.partition('-')[0]}", rest.partition("-")[2]
            version = rest.partition(".so")[2].lstrip(".")
            yield Part(name, version, policy.libraries.get(name, UNKNOWN), canonicalize_name(component["name"]))


def refused(parts: Iterable[Part], policy: Policy) -> list[str]:
    """Return a sentence for every part whose licence is unknown or not allowed."""
    return [
        f"{part.name} {part.version}: {part.licence} is not allowed; see supply/licences.toml"
        for part in parts
        if not policy.fits(part.name, part.licence)
    ]


def shipped(policy: Policy) -> dict[str, list[Part]]:
    """Return every part that ships, by bill, and the libraries within wheels as `libraries`."""
    bills = {name: bill() for name, bill in BILLS.items()}
    parts = {name: packages(bill, policy) for name, bill in bills.items()}
    return parts | {"libraries": list(libraries(bills["main"], policy))}


def page(parts: Mapping[str, list[Part]], policy: Policy) -> str:
    """Return docs/licences.md."""
    lines = [
        "# Licences",
        "",
        "What ships with Cityzones, and under which licences, as its packages declare them. Cityzones itself is",
        "Apache-2.0. Tools that only build or test it are not listed. Written by",
        "`python -m supply.licences > docs/licences.md`, which fails where one is unknown or not allowed by",
        "[supply/licences.toml](../supply/licences.toml).",
        "",
        "## Copyleft, and why it is fine",
        "",
        *_table(("part", "licence", "why"), ((*each, why) for each, why in sorted(policy.copyleft.items()))),
    ]
    for name, title in _TITLES.items():
        rows = sorted(((part.name, part.version, _shown(part.licence)) for part in parts[name]), key=_folded)
        lines += ["", f"## {title}", "", *_table(("package", "version", "licence"), rows)]
    rows = sorted({(part.within, part.name, _shown(part.licence)) for part in parts["libraries"]})
    lines += ["", "## Shared libraries within Python wheels", "", *_table(("package", "library", "licence"), rows)]
    return "\n".join(lines) + "\n"


def _folded(row: tuple[str, ...]) -> str:
    return row[0].lower()


def _shown(licence: str) -> str:
    return licence.removeprefix("License :: OSI Approved :: ")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|" + "-|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]


if __name__ == "__main__":
    rules = Policy.read()
    found = shipped(rules)
    if wrong := refused((part for group in found.values() for part in group), rules):
        sys.exit("\n".join(wrong))
    sys.stdout.write(page(found, rules))
