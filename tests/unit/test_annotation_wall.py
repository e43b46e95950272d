from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.annotation.wall import CELL, RGB, Member, Tile, picture_of, wall_of

YELLOW, RED = (255, 221, 0), (220, 20, 30)
GREY = 40


def _tile(side: int = 200) -> Tile:
    rows, columns = np.mgrid[:side, :side]
    image = np.stack([rows % 200, columns % 200, np.full_like(rows, 90)], axis=2).astype(np.uint8)
    return Tile(image, np.zeros((side, side), np.int32))


def _with(tile: Tile, label: int, top: int, left: int, height: int, width: int) -> Member:
    tile.labels[top : top + height, left : left + width] = label
    return Member(label, (top, left, top + height, left + width))


def _where(picture: RGB, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (picture == colour).all(axis=2)
    return found


def test_a_mask_is_outlined_in_its_box_in_the_middle() -> None:
    tile = _tile()
    member = _with(tile, 7, 76, 76, 48, 48)  # a picture of it is exactly the image, unscaled
    picture = picture_of(tile, member)
    assert picture.shape == (CELL, CELL, 3)
    rows, columns = np.nonzero(_where(picture, YELLOW))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (24, 71, 24, 71)
    rows, columns = np.nonzero(_where(picture, RED))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (22, 73, 22, 73)
    assert (picture[40, 40] == tile.image[92, 92]).all()
    assert (picture[5, 90] == tile.image[57, 142]).all()


@pytest.mark.parametrize("corner", [(0, 0), (0, 199), (199, 0), (199, 199)])
def test_a_pixel_in_a_corner_has_a_picture_too(corner: tuple[int, int]) -> None:
    tile = _tile()
    picture = picture_of(tile, _with(tile, 3, *corner, 1, 1))
    assert _where(picture, YELLOW).any()
    assert _where(picture, RED).any()
    assert (picture == GREY).all(axis=2).mean() > 0.5  # three quarters lie outside


def test_a_mask_with_a_hole_and_neighbours_shows_its_own_rim() -> None:
    tile = _tile()
    member = _with(tile, 1, 50, 50, 100, 100)
    tile.labels[90:110, 90:110] = 2
    hole = picture_of(tile, member)[CELL // 2 - 8 : CELL // 2 + 8, CELL // 2 - 8 : CELL // 2 + 8]
    assert _where(hole, YELLOW).sum() >= 4 * 8


def test_a_mask_as_large_as_its_tile_is_shown_whole() -> None:
    tile = _tile()
    assert _where(picture_of(tile, _with(tile, 1, 0, 0, 200, 200)), RED).any()


def test_a_wall_holds_its_members_in_order() -> None:
    tile = _tile()
    members = [(tile, _with(tile, n + 1, 10 + 9 * n, 10 + 9 * n, 8, 8)) for n in range(7)]
    with Image.open(io.BytesIO(wall_of(members, columns=3))) as wall:
        assert wall.size == (3 * CELL, 3 * CELL)
        shown = np.asarray(wall).astype(int)
    for number, (_, member) in enumerate(members):
        top, left = (place * CELL for place in divmod(number, 3))
        near = np.abs(shown[top : top + CELL, left : left + CELL] - picture_of(tile, member))
        assert near.mean() < 8  # JPEG
    assert np.abs(shown[2 * CELL :, CELL:] - GREY).mean() < 3
