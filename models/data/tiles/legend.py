"""What the colours of a mask mean: the classes of a `classes.json`, of the Dubai masks and of our own maps."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.classes import LAND_COVER, NODATA
from models.errors import CityzonesError

LEGEND_FILE: Final = "classes.json"
STRAY: Final = 0.01
"""Share of a mask that colours of no class may fill: what resampling leaves along edges. It counts as unlabelled."""
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")

# Titles that are not our own labels or names. Vegetation merges trees, lawns and mangrove: all of it becomes tree.
_TITLES: Final = {
    "land": "bareland",
    "vegetation": "tree",
    "bare land": "bareland",
    "agriculture": "agriculture",
    "other": "others",
}
_UNLABELLED: Final = ("unlabeled", "unlabelled", "nodata", "ignore")
# The colours of the masks of Humans in the Loop's Dubai tiles; those of its classes.json do not occur in them.
_DUBAI: Final = {
    "#3C1098": "building",
    "#8429F6": "bareland",
    "#6EC1E4": "road",
    "#FEDD3A": "tree",
    "#E2A929": "water",
    "#9B9B9B": None,
    "#000000": None,
}
_CODES: Final = {told.label: told.code for told in LAND_COVER} | {told.name.lower(): told.code for told in LAND_COVER}

Legend = dict[int, int]
"""Class code (0: unlabelled) by colour, 0xRRGGBB."""


class BadTiles(CityzonesError):
    """A folder of images and masks is not laid out, or does not read, as it must."""

    code = "bad-tiles"


def code_of(title: str) -> int | None:
    """Return the class code a title names, 0 for what says unlabelled, None for what is no class of ours.

    Titles are compared without case and without what stands in brackets: "Land (unpaved area)" is land, so bareland.
    """
    plain = re.sub(r"\(.*?\)", "", title).strip().lower()
    if plain in _UNLABELLED:
        return NODATA
    return _CODES.get(_TITLES.get(plain, plain))


def known_legend() -> Legend:
    """Return the colours that need no `classes.json`: the Dubai masks', and those of our own land cover maps."""
    ours = {_number(told.colour): told.code for told in LAND_COVER}
    return ours | {_number(colour): NODATA if label is None else _CODES[label] for colour, label in _DUBAI.items()}


def read_legend(folder: Path) -> Legend:
    """Return the colours of a folder's masks: those of its `classes.json`, where there is one, beside the known ones.

    The file is {"classes": [{"title": ..., "color": "#RRGGBB"}, ...]}. Raises BadTiles where it does not read so;
    titles that are no class of ours are left out, and their colours told as unknown where masks hold them.
    """
    path = folder / LEGEND_FILE
    if not path.is_file():
        return known_legend()
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        rows = [(str(row["title"]), str(row["color"])) for row in told["classes"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadTiles(
            f'{path} does not read as {{"classes": [{{"title": ..., "color": "#RRGGBB"}}]}}: {error!r}'
        ) from error
    wrong = [f"{title} {colour}" for title, colour in rows if not _COLOUR.fullmatch(colour)]
    if wrong:
        raise BadTiles(f"{path} gives {', '.join(wrong[:5])}; a colour is written #RRGGBB")
    codes = {_number(colour): code_of(title) for title, colour in rows}
    return known_legend() | {colour: code for colour, code in codes.items() if code is not None}


def codes_of(colours: NDArray[np.uint8], legend: Legend, name: str) -> NDArray[np.uint8]:
    """Return the class codes (y, x) of a mask's colours (y, x, 3); raises BadTiles naming colours of no class.

    Colours that fill up to STRAY of the mask together are taken for blurred edges, and become 0.
    """
    packed = colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    found, place, counts = np.unique(packed, return_inverse=True, return_counts=True)
    unknown = [(int(n), int(colour)) for colour, n in zip(found, counts, strict=True) if int(colour) not in legend]
    if sum(n for n, _ in unknown) > STRAY * packed.size:
        most = ", ".join(f"#{colour:06X} ({n / packed.size:.1%})" for n, colour in sorted(unknown, reverse=True)[:3])
        raise BadTiles(f"{name} holds colours of no class: {most}; name them in {LEGEND_FILE} beside the tiles")
    codes = np.array([legend.get(int(colour), NODATA) for colour in found], dtype=np.uint8)
    return codes[place.reshape(packed.shape)]


def _number(colour: str) -> int:
    return int(colour[1:], 16)
