"""Walls of masks: one picture of many, each outlined in yellow, in a red box, in what surrounds it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CELL: Final = 96  # pixels a side of one mask's picture
_SURROUNDINGS: Final = 2.0  # sides of the picture in sides of the box
_LEAST: Final = 40  # pixels of the image a picture shows at least
_YELLOW: Final = (255, 221, 0)
_RED: Final = (220, 20, 30)
_OUTSIDE: Final = 40  # grey beyond the image
_QUALITY: Final = 85

RGB = NDArray[np.uint8]


class Member(NamedTuple):
    """A mask on its tile: its label, and its box there (first row, first column, row and column behind the last)."""

    label: int
    box: tuple[int, int, int, int]


class Tile(NamedTuple):
    """A tile as it is shown: image (H, W, 3) uint8, and labels (H, W) int32 of its masks, 0 for none."""

    image: RGB
    labels: NDArray[np.int32]


def wall_of(members: Sequence[tuple[Tile, Member]], columns: int) -> bytes:
    """Return a JPEG of all members, `columns` in a row, each CELL pixels a side, in their order."""
    rows = -(-len(members) // columns)
    canvas = np.full((rows * CELL, columns * CELL, 3), _OUTSIDE, np.uint8)
    for number, (tile, member) in enumerate(members):
        top, left = (place * CELL for place in divmod(number, columns))
        canvas[top : top + CELL, left : left + CELL] = picture_of(tile, member)
    out = io.BytesIO()
    Image.fromarray(canvas).save(out, "JPEG", quality=_QUALITY, subsampling=0)
    return out.getvalue()


def picture_of(tile: Tile, member: Member) -> RGB:
    """Return one member's picture (CELL, CELL, 3)."""
    top, left, bottom, right = member.box
    side = max(int(_SURROUNDINGS * max(bottom - top, right - left)), _LEAST)
    first_row, first_column = (top + bottom - side) // 2, (left + right - side) // 2
    window = (first_row, first_column, side)
    picture = _scaled(_cut(tile.image, window, _OUTSIDE), Image.Resampling.BILINEAR)
    inside = _scaled((_cut(tile.labels, window, 0) == member.label).astype(np.uint8), Image.Resampling.NEAREST) > 0
    picture[_rim(inside)] = _YELLOW
    scale = CELL / side
    ends = (top - first_row, left - first_column, bottom - first_row, right - first_column)
    _draw_box(picture, [round(end * scale) for end in ends])
    return picture


def _cut(source: NDArray, window: tuple[int, int, int], beyond: int) -> NDArray:  # type: ignore[type-arg]
    """Return a square of an image, with a value where it reaches beyond."""
    row, column, side = window
    cut = np.full((side, side, *source.shape[2:]), beyond, source.dtype)
    rows, columns = slice(max(row, 0), row + side), slice(max(column, 0), column + side)
    part = source[rows, columns]
    place = (rows.start - row, columns.start - column)
    cut[place[0] : place[0] + part.shape[0], place[1] : place[1] + part.shape[1]] = part
    return cut


def _scaled(cut: NDArray[np.uint8], how: Image.Resampling) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(cut).resize((CELL, CELL), how))


def _rim(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask that touch what is not of it; the edge of the picture is no rim."""
    padded = np.pad(inside, 1, mode="edge")
    kept = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside & ~kept


def _draw_box(picture: RGB, ends: Sequence[int]) -> None:
    top, left, bottom, right = (
        min(max(end, 0), CELL - 1) for end in (ends[0] - 2, ends[1] - 2, ends[2] + 1, ends[3] + 1)
    )
    picture[[top, bottom], left : right + 1] = _RED
    picture[top : bottom + 1, [left, right]] = _RED
