"""Finds a model's weights: bundled with the project, or fetched once, verified, converted and kept in a cache."""

from __future__ import annotations

import hashlib
import importlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from models.cards import Card
from models.errors import MissingExtra, WeightsUnavailable

BUNDLED_DIR: Final = Path(__file__).parent / "weights"
MAX_BYTES: Final = 64 * 1024**2
"""No published network comes near; more is not the file the card means."""
ATTEMPTS: Final = 3
TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)
DEADLINE: Final = 600.0
"""Seconds one download may take in all: a read timeout alone lets a slow trickle go on for ever."""
_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHUNK: Final = 1 << 20

# How a published file becomes the ONNX file served, by card; imported only when wanted, as each needs torch.
CONVERTERS: Final = {
    "so2sat-resnet20": "models.networks.so2sat_export:export_so2sat",
    "sen2lcz-net-mf": "models.networks.so2sat_export:export_sen2lcz",
}


class _Transient(Exception):
    """The server may answer properly if asked again."""


def default_cache() -> Path:
    """Return where fetched weights are kept: CITYZONES_WEIGHTS_CACHE, or a folder of the user's cache."""
    told = os.environ.get("CITYZONES_WEIGHTS_CACHE")
    if told:
        return Path(told)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cityzones" / "weights"


def weights_path(card: Card, *, cache: Path | None = None) -> Path | None:
    """Return the ONNX file of a card, or None where it is neither bundled nor fetched yet."""
    folder = BUNDLED_DIR if card.weights.bundled else cache or default_cache()
    path = folder / card.weights.file
    return path if path.is_file() else None


def fetch(card: Card, *, cache: Path | None = None, mirror: Path | None = None) -> Path:
    """Make sure that a card's weights are at hand and return the ONNX file.

    `mirror` (default: CITYZONES_WEIGHTS_MIRROR) is a folder that holds the published files, for machines without the
    internet. The published file is checked against the card's SHA-256 before anything reads it. Raises
    WeightsUnavailable where it cannot be had or does not match, MissingExtra where the conversion lacks a package.
    """
    found = weights_path(card, cache=cache)
    if found is not None:
        return found
    if card.weights.bundled:
        msg = f"{card.weights.file} should lie in models/weights; install the project again"
        raise WeightsUnavailable(msg)
    convert = _converter(card)
    folder = cache or default_cache()
    source = fetch_source(card, cache=folder, mirror=mirror)
    target = folder / card.weights.file
    with _replacing(target) as scratch:
        convert(source, card, scratch)
    return target


def fetch_source(card: Card, *, cache: Path, mirror: Path | None = None) -> Path:
    """Return the published file of a card, verified; it is fetched from the mirror or the network if not cached."""
    name, expected = card.weights.source_file, card.weights.source_sha256
    if name is None or expected is None or Path(name).name != name:
        msg = f"the card of {card.id} names no published file and checksum; its weights are trained here, not fetched"
        raise WeightsUnavailable(msg)
    target = cache / name
    if target.is_file() and _sha256(target) == expected:
        return target
    told = os.environ.get("CITYZONES_WEIGHTS_MIRROR")
    mirror = mirror or (Path(told) if told else None)
    with _replacing(target) as scratch:
        if mirror is None:
            _download(str(card.weights.source_url), scratch)
        else:
            _copy(mirror / name, scratch)
        _verify(scratch, name, expected)
    return target


def _converter(card: Card) -> Callable[[Path, Card, Path], None]:
    if card.id not in CONVERTERS:
        msg = f"nothing here converts the published weights of {card.id} to ONNX"
        raise WeightsUnavailable(msg)
    module, function = CONVERTERS[card.id].split(":")
    try:
        found: Callable[[Path, Card, Path], None] = getattr(importlib.import_module(module), function)
    except ImportError as error:
        msg = f"converting the weights of {card.id} needs {error.name}; run: pip install 'cityzones[train]'"
        raise MissingExtra(msg) from error
    return found


def _verify(path: Path, name: str, expected: str) -> None:
    found = _sha256(path)
    if found != expected:
        msg = f"{name} has SHA-256 {found}, its card says {expected}; it was not used. Try another mirror"
        raise WeightsUnavailable(msg)


def _copy(source: Path, target: Path) -> None:
    try:
        if source.stat().st_size > MAX_BYTES:
            raise _too_big(source.name)
        target.write_bytes(source.read_bytes())
    except OSError as error:
        msg = f"the mirror has no readable {source.name} ({error.strerror}); put the published file there"
        raise WeightsUnavailable(msg) from error


def _download(url: str, target: Path) -> None:
    """Stream a file to disk, trying again after transient failures; raises WeightsUnavailable in the end."""
    deadline = time.monotonic() + DEADLINE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _stream(url, target, deadline)
        except (httpx.RequestError, _Transient) as error:
            if attempt == ATTEMPTS or time.monotonic() > deadline:
                msg = f"{url} could not be fetched after {attempt} attempts ({error}); set CITYZONES_WEIGHTS_MIRROR"
                raise WeightsUnavailable(msg) from error
            time.sleep(2.0 ** (attempt - 1))
        else:
            return


def _stream(url: str, target: Path, deadline: float) -> None:
    with httpx.stream("GET", url, timeout=TIMEOUT, follow_redirects=True) as answer, target.open("wb") as file:
        if answer.status_code in _RETRIED:
            msg = f"HTTP {answer.status_code}"
            raise _Transient(msg)
        if not answer.is_success:
            msg = f"{url} answers HTTP {answer.status_code}; set CITYZONES_WEIGHTS_MIRROR to a folder that has the file"
            raise WeightsUnavailable(msg)
        for chunk in answer.iter_bytes(_CHUNK):
            if file.tell() + len(chunk) > MAX_BYTES:
                raise _too_big(url)
            if time.monotonic() > deadline:
                msg = f"no end after {DEADLINE:.0f} s"
                raise _Transient(msg)
            file.write(chunk)


def _too_big(name: str) -> WeightsUnavailable:
    msg = f"{name} is larger than {MAX_BYTES // 1024**2} MiB, so it is not the published file; it was not used"
    return WeightsUnavailable(msg)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give a path to write to beside the target, moved into place at the end and removed after a failure."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
    try:
        yield scratch
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
