"""Pictures of a project: walls of masks, a tile's image, and a tile's labels as colours."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from service.annotation.room import OpenProject, ProjectRoom
from service.annotation.wall import Member, Tile, wall_of

_QUALITY = 90


def wall(opened: OpenProject, room: ProjectRoom, numbers: Sequence[int], columns: int) -> bytes:
    """Return a JPEG of masks by their numbers, which the project has, in that order."""
    table = opened.table
    tiles = {int(tile): room.tile(opened, int(tile)) for tile in np.unique(table.tile[list(numbers)])}
    members = []
    for number in numbers:
        top, left, bottom, right = (int(end) for end in table.box[number])
        member = Member(int(table.label[number]), (top, left, bottom, right))
        members.append((tiles[int(table.tile[number])], member))
    return wall_of(members, columns)


def image_of(tile: Tile) -> bytes:
    """Return a tile's image as a JPEG."""
    out = io.BytesIO()
    Image.fromarray(tile.image).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def labels_of(tile: Tile) -> bytes:
    """Return a tile's labels as a PNG whose red, green and blue are the label's lowest, middle and highest byte."""
    colours = np.stack([tile.labels >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(colours).save(out, "PNG", compress_level=3)
    return out.getvalue()
