"""The tiles of a project: which of their bands are colours, how numbers are stretched to bytes, and reading them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import DatasetReader

from jobs.annotation.plan import TilePlan
from jobs.record import Warned
from jobs.uploads import UploadRecord
from worker.imagery.stretching import limits_of

Opener = Callable[[str], AbstractContextManager[DatasetReader]]
Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_GLANCE: Final = 512  # pixels a side that are looked at to find percentiles
_COLOURS: Final = ("red", "green", "blue")


def plan_tile(record: UploadRecord) -> TilePlan:
    """Return which bands of an uploaded picture are its colours; one of a single band is shown in grey."""
    facts = record.facts
    colours = list(facts["colours"])
    alpha = colours.index("alpha") + 1 if "alpha" in colours else None
    others = [band for band in range(1, facts["count"] + 1) if band != alpha]
    if set(_COLOURS) <= set(colours):
        red, green, blue = (colours.index(name) + 1 for name in _COLOURS)
    else:
        red, green, blue = others[:3] if len(others) >= len(_COLOURS) else [others[0]] * 3
    return TilePlan(
        upload=record.upload,
        name=record.filename,
        width=facts["width"],
        height=facts["height"],
        bands=(red, green, blue),
        alpha=alpha,
        crs=facts.get("crs"),
        transform=facts.get("transform"),
    )


def stretched(tiles: Sequence[TilePlan], opener: Opener) -> tuple[tuple[TilePlan, ...], list[Warned]]:
    """Return the tiles with the limits of those that are not of bytes, the same for all, and what is told of it.

    The limits are percentiles over all such tiles, colour by colour, so that neighbours keep their differences. Raises
    BadImage where a colour holds one number only.
    """
    found = {tile.upload: _numbers(tile, opener) for tile in tiles}
    looked = [values for values in found.values() if values is not None and values.size]
    if not looked:
        return tuple(tiles), []
    limits = tuple(
        limits_of(name, np.concatenate([values[colour] for values in looked]), "/inputs/tiles")
        for colour, name in enumerate(_COLOURS)
    )
    told = ", ".join(f"{name} {low:.6g} to {high:.6g}" for name, (low, high) in zip(_COLOURS, limits, strict=True))
    detail = f"numbers that are not bytes were stretched between their 2nd and 98th percentile: {told}"
    made = tuple(tile if found[tile.upload] is None else tile.model_copy(update={"limits": limits}) for tile in tiles)
    return made, [Warned(code="image-stretched", detail=detail)]


def read_tile(tile: TilePlan, opener: Opener) -> tuple[Image, Mask]:
    """Return a tile's image (3, y, x) uint8, and which of its pixels are valid (y, x)."""
    with opener(tile.upload) as dataset:
        values, valid = _read(dataset, tile, None)
    if tile.limits is not None:
        low, high = (np.array(ends, np.float32)[:, None, None] for ends in zip(*tile.limits, strict=True))
        share = np.clip((values.astype(np.float32) - low) / (high - low), 0, 1)
        values = np.rint(255 * np.nan_to_num(share)).astype(np.uint8)
    values[:, ~valid] = 0
    return np.ascontiguousarray(values), valid


def _numbers(tile: TilePlan, opener: Opener) -> NDArray[Any] | None:
    """Return valid numbers (3, n) spread over a tile that is not of bytes; None for one that is."""
    with opener(tile.upload) as dataset:
        if all(dataset.dtypes[band - 1] == "uint8" for band in tile.bands):
            return None
        shape = (min(_GLANCE, tile.height), min(_GLANCE, tile.width))
        values, valid = _read(dataset, tile, shape)
    return values[:, valid]


def _read(dataset: DatasetReader, tile: TilePlan, shape: tuple[int, int] | None) -> tuple[NDArray[Any], Mask]:
    bands = sorted(set(tile.bands))
    values = dataset.read(bands, out_shape=shape and (len(bands), *shape), resampling=Resampling.nearest)
    valid = np.isfinite(values).all(axis=0)
    for band in (*bands, *([tile.alpha] if tile.alpha else [])):
        if MaskFlags.all_valid not in dataset.mask_flag_enums[band - 1]:
            valid &= dataset.read_masks(band, out_shape=shape) > 0
    if tile.alpha:
        valid &= dataset.read(tile.alpha, out_shape=shape) > 0
    return values[[bands.index(band) for band in tile.bands]], valid
