"""Names of bands: the many ways files and catalogues write the same Sentinel-2 band."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

# earth-search and the STAC eo extension write common names; ESA, Planetary Computer and CDSE write B02 ... B12.
_COMMON: Final[dict[str, str]] = {
    "coastal": "B01", "blue": "B02", "green": "B03", "red": "B04",
    "rededge1": "B05", "rededge071": "B05", "rededge2": "B06", "rededge075": "B06",
    "rededge3": "B07", "rededge078": "B07",
    "nir": "B08", "nir08": "B8A", "rededge4": "B8A", "nir09": "B09", "cirrus": "B10", "swir16": "B11", "swir1": "B11",
    "swir22": "B12", "swir2": "B12", "scl": "SCL",
}  # fmt: skip
_NUMBERED: Final = re.compile(r"^b(?:and)?0?(8a|1[0-2]|[1-9])$")
_TOKEN: Final = re.compile(r"[^0-9a-z]+")
VISIBLE: Final = frozenset({"B01", "B02", "B03", "B04"})
_COLOURS: Final = ("B04", "B03", "B02")


def canonical(name: str) -> str | None:
    """Return a band's ESA name (B02, B8A, SCL) for any usual spelling ("B2", "blue", "band8a"), or None."""
    plain = name.strip().lower()
    number = _NUMBERED.match(plain)
    if number:
        return f"B{number[1].upper().zfill(2)}"
    return _COMMON.get(plain) or _COMMON.get(plain.replace("_", "").replace("-", "").replace(" ", ""))


def in_text(text: str) -> str | None:
    """Return the one band that a description or a file's name speaks of ("B02 (blue)", "T32TMT_B05_20m"), or None."""
    whole = canonical(text)
    if whole:
        return whole
    found = {band for token in _TOKEN.split(text.lower()) if (band := canonical(token))}
    return found.pop() if len(found) == 1 else None


def in_filename(filename: str) -> str | None:
    """Return the band a file's name speaks of, or None: `B05.tif`, `S2B_..._B8A_20m.jp2`, `scene-nir08.tif`."""
    return in_text(PurePosixPath(filename.replace("\\", "/")).stem)


def same(name: str, other: str) -> bool:
    """Whether two spellings mean the same band."""
    left, right = canonical(name), canonical(other)
    return left == right if left and right else name.strip().lower() == other.strip().lower()


def find(wanted: str, names: Sequence[str | None]) -> int | None:
    """Return the first position at which a band is named, or None."""
    return next((i for i, name in enumerate(names) if name is not None and same(wanted, name)), None)


def colours(bands: Sequence[str]) -> tuple[int, int, int] | None:
    """Return where red, green and blue stand among a card's bands, or None where one of them is missing.

    Bands of several seasons are named "B04 summer"; of the seasons that have all three summer is taken, else the first.
    """
    seasons: dict[str, dict[str | None, int]] = {}
    for position, name in enumerate(bands):
        band, _, season = name.partition(" ")
        seasons.setdefault(season, {})[canonical(band)] = position
    whole = {season: found for season, found in seasons.items() if found.keys() >= set(_COLOURS)}
    if not whole:
        return None
    chosen = whole.get("summer") or next(iter(whole.values()))
    red, green, blue = (chosen[band] for band in _COLOURS)
    return red, green, blue


def of_picture(colours: Sequence[str], bands: Sequence[str]) -> tuple[tuple[str | None, ...], bool]:
    """Return the band that each of a picture's is, and whether that was assumed: the file names none.

    `colours` are what the file says they show ("red", "gray"), `bands` at most as many that are looked for. Where they
    are not all among the colours, the first are taken to be them in this order.
    """
    if all(band in colours for band in bands):
        return tuple(colour if colour in bands else None for colour in colours), False
    return (*bands, *(None,) * (len(colours) - len(bands))), True
