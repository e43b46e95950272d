"""The locks: every requirement pinned and hashed, from an index alone, and in agreement with what asks for it."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT: Final = Path(__file__).resolve().parent.parent
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_INTEGRITY: Final = re.compile(r"sha512-[A-Za-z0-9+/]{86}==")
_EXACT: Final = re.compile(r"\d+(\.\d+)+")


@dataclass(frozen=True, slots=True)
class Pin:
    """One requirement of a lock: its canonical name, its version, where it applies, and its files' SHA-256."""

    name: str
    version: Version
    marker: Marker | None
    hashes: tuple[str, ...]

    @property
    def applies(self) -> bool:
        """Whether this Python on this system wants it."""
        return self.marker is None or self.marker.evaluate()


def entries(text: str) -> Iterator[str]:
    """Yield the requirements of a file's text, without comments, each in one line."""
    for line in text.replace("\\\n", " ").splitlines():
        told = line.split(" #")[0].strip()
        if told and not told.startswith("#"):
            yield told


def pins_of(text: str) -> tuple[list[Pin], list[str]]:
    """Return the pins of a lock's text, and a sentence for every entry that is no pin with hashes."""
    pins, faults = [], []
    for entry in entries(text):
        told, hashes = _HASH.sub("", entry).strip(), tuple(_HASH.findall(entry))
        try:
            wanted = Requirement(told)
        except InvalidRequirement:
            faults.append(f"no requirement from an index: {told}")
            continue
        exact = [each.version for each in wanted.specifier if each.operator == "==" and "*" not in each.version]
        if wanted.url or len(wanted.specifier) != 1 or not exact:
            faults.append(f"not pinned to one version of the index: {told}")
        elif not hashes:
            faults.append(f"no SHA-256: {told}")
        else:
            pins.append(Pin(canonicalize_name(wanted.name), Version(exact[0]), wanted.marker, hashes))
    return pins, faults


def locks(root: Path = ROOT) -> list[str]:
    """Return the names of all locks: requirements/<name>.txt."""
    return sorted(path.stem for path in (root / "requirements").glob("*.txt"))


def pins(lock: str, root: Path = ROOT) -> dict[str, Pin]:
    """Return the pins of requirements/<lock>.txt that apply here, by canonical name."""
    found, _ = pins_of((root / "requirements" / f"{lock}.txt").read_text())
    return {pin.name: pin for pin in found if pin.applies}


def asked(lock: str, root: Path = ROOT) -> list[str]:
    """Return the requirements that a lock was made for: of pyproject.toml for main, else of its .in file."""
    if lock == "main":
        told = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
        return [str(each) for each in told]
    return list(entries((root / _asker(lock)).read_text()))


def _asker(lock: str) -> str:
    return "pyproject.toml" if lock == "main" else f"requirements/{lock}.in"


def unmet(wanted: Iterable[str], locked: Mapping[str, Pin], where: str) -> list[str]:
    """Return a sentence for every requirement that applies here and that no pin fulfils."""
    faults = []
    for told in wanted:
        one = Requirement(told)
        if one.marker and not one.marker.evaluate():
            continue
        pin = locked.get(canonicalize_name(one.name))
        if pin is None:
            faults.append(f"{where} asks for {one.name}, which the lock lacks")
        elif not one.specifier.contains(pin.version, prereleases=True):
            faults.append(f"{where} asks for {told}, and the lock has {pin.version}")
    return faults


def faults_of(root: Path = ROOT) -> list[str]:
    """Return a sentence for everything that is wrong with the locks below `root`; none where all is well."""
    faults: list[str] = []
    locked: dict[str, dict[str, Pin]] = {}
    for lock in locks(root):
        found, wrong = pins_of((root / "requirements" / f"{lock}.txt").read_text())
        locked[lock] = {pin.name: pin for pin in found if pin.applies}
        if len(locked[lock]) != len([pin for pin in found if pin.applies]):
            wrong.append("a name is pinned twice")
        faults += [f"requirements/{lock}.txt: {each}" for each in wrong]
    faults += _agreement(root, locked)
    return faults + _web_faults(root / "web")


def _agreement(root: Path, locked: Mapping[str, Mapping[str, Pin]]) -> list[str]:
    project = tomllib.loads((root / "pyproject.toml").read_text())
    faults = unmet(project["dependency-groups"]["dev"], locked["dev"], "the group dev of pyproject.toml")
    for lock in locked:
        faults += unmet(asked(lock, root), locked[lock], _asker(lock))
    both = locked["main"].keys() & locked["dev"].keys()
    return faults + [
        f"requirements/dev.txt has {name} {locked['dev'][name].version}, and main.txt {locked['main'][name].version}"
        for name in sorted(both)
        if locked["dev"][name].version != locked["main"][name].version
    ]


def _web_faults(web: Path) -> list[str]:
    told = json.loads((web / "package.json").read_text())
    packages: dict[str, Any] = json.loads((web / "package-lock.json").read_text())["packages"]
    faults = []
    for group in ("dependencies", "devDependencies"):
        for name, version in told.get(group, {}).items():
            held = packages.get(f"node_modules/{name}", {}).get("version")
            if not _EXACT.fullmatch(version) or held != version:
                faults.append(f"web/package.json asks for {name} {version}, and the lock has {held}")
    for place, package in packages.items():
        if place and not _INTEGRITY.fullmatch(package.get("integrity", "")):
            faults.append(f"web/package-lock.json: {place} has no SHA-512")
        if package.get("link") or "resolved" in package:
            faults.append(f"web/package-lock.json: {place} comes from an address of its own")
    return faults


if __name__ == "__main__":
    if told := faults_of():
        sys.exit("\n".join(told))
