"""Reads folders of land cover tiles: `<tile>/images/*` and, of the same names, `<tile>/masks/*`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from rasterio.errors import RasterioError

from models.classes import LAND_COVER
from models.data.tiles.legend import BadTiles, Legend, codes_of, read_legend

MOST_PIXELS: Final = 100_000_000
"""Of one image: what a mask of a whole city may have. More is a bomb, or not meant for here."""
_PICTURES: Final = (".jpg", ".jpeg", ".png")
_RASTERS: Final = (".tif", ".tiff")
_RGB: Final = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its mask, as files; `tile` is the folder both lie in."""

    tile: str
    image: Path
    mask: Path


@dataclass(frozen=True, slots=True)
class Picture:
    """An image (3, y, x) uint8, red green blue, and its classes (y, x) uint8: codes of LAND_COVER, 0 unlabelled."""

    name: str
    image: NDArray[np.uint8]
    codes: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TileFolder:
    """The pairs of a folder by tile, in the order of their names, and what the colours of its masks mean."""

    path: Path
    tiles: dict[str, tuple[Pair, ...]]
    legend: Legend

    def pictures(self, tiles: tuple[str, ...]) -> Iterator[Picture]:
        """Read the pairs of some tiles, one after another; raises BadTiles naming the file that does not read."""
        return (read_picture(pair, self.legend) for tile in tiles for pair in self.tiles[tile])

    def only(self, names: tuple[str, ...]) -> TileFolder:
        """Return the folder with some of its tiles, all where none is named; raises BadTiles for others."""
        unknown = set(names) - set(self.tiles)
        if unknown:
            raise BadTiles(f"{self.path} holds no tile {', '.join(sorted(unknown))}; it holds {', '.join(self.tiles)}")
        return replace(self, tiles={name: self.tiles[name] for name in names or self.tiles})


def open_tiles(folder: Path) -> TileFolder:
    """Find the tiles of a folder: its folders with `images` and `masks`, or itself if it has both.

    Nothing is decoded yet. Raises BadTiles where there is none, a tile has no image, or a partner is missing.
    """
    if not folder.is_dir():
        raise BadTiles(f"{folder} is not a folder; give one that holds <tile>/images and <tile>/masks")
    places = (
        [folder] if (folder / "images").is_dir() else sorted(p for p in folder.iterdir() if (p / "images").is_dir())
    )
    if not places:
        raise BadTiles(f"{folder} holds no <tile>/images; give a folder with <tile>/images and <tile>/masks")
    return TileFolder(folder, {place.name: _pairs(place) for place in places}, read_legend(folder))


def read_picture(pair: Pair, legend: Legend) -> Picture:
    """Read an image and its mask; raises BadTiles where one does not read, or their sizes differ."""
    image = np.ascontiguousarray(np.moveaxis(_image(pair.image), -1, 0))
    codes = _mask(pair.mask, legend)
    if image.shape[1:] != codes.shape:
        sizes = " and ".join(f"{width} x {height}" for height, width in (image.shape[1:], codes.shape))
        raise BadTiles(f"{pair.image} and {pair.mask.name} differ in size: {sizes} pixels; a mask covers its image")
    return Picture(f"{pair.tile}/{pair.image.stem}", image, codes)


def _pairs(place: Path) -> tuple[Pair, ...]:
    images, masks = (_by_stem(place / name) for name in ("images", "masks"))
    if not images:
        raise BadTiles(f"{place / 'images'} holds no image ({', '.join(_PICTURES + _RASTERS)})")
    for kind, lacking in (("mask", images.keys() - masks.keys()), ("image", masks.keys() - images.keys())):
        if lacking:
            raise BadTiles(
                f"{place} has no {kind} of {', '.join(sorted(lacking)[:5])}; every image has one of its name"
            )
    return tuple(Pair(place.name, images[stem], masks[stem]) for stem in sorted(images))


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise BadTiles(f"there is no folder {folder}; a tile has images and masks")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in _PICTURES + _RASTERS or not path.is_file():
            continue
        if path.stem in found:
            raise BadTiles(f"{folder} holds both {found[path.stem].name} and {path.name}; keep one")
        found[path.stem] = path
    return found


def _image(path: Path) -> NDArray[np.uint8]:
    """Return red, green and blue (y, x, 3)."""
    if path.suffix.lower() in _RASTERS:
        bands = _bands(path)
        if len(bands) < _RGB or bands.dtype != np.uint8:
            raise BadTiles(
                f"{path} has {len(bands)} bands of {bands.dtype}; an image has 3 of uint8 (red, green, blue)"
            )
        return np.moveaxis(bands[:_RGB], 0, -1)
    return np.asarray(_opened(path).convert("RGB"))


def _mask(path: Path, legend: Legend) -> NDArray[np.uint8]:
    """Return class codes (y, x): of one band as they are, of colours (and palettes) as the legend says."""
    if path.suffix.lower() in _RASTERS:
        bands = _bands(path)
        if len(bands) == _RGB and bands.dtype == np.uint8:
            return codes_of(np.moveaxis(bands, 0, -1), legend, str(path))
        if len(bands) != 1:
            raise BadTiles(f"{path} has {len(bands)} bands of {bands.dtype}; a mask has 1 of codes, or 3 of colours")
        return _plain(bands[0], path)
    opened = _opened(path)
    if opened.mode in {"1", "L", "I", "I;16"}:
        return _plain(np.asarray(opened), path)
    return codes_of(np.asarray(opened.convert("RGB")), legend, str(path))


def _plain(values: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    most = len(LAND_COVER)
    if not np.isin(values, np.arange(most + 1)).all():
        raise BadTiles(
            f"{path} holds values from {values.min()} to {values.max()}; codes are 1-{most}, and 0 unlabelled"
        )
    return values.astype(np.uint8)


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as opened:
            _refuse_large(path, *opened.size)
            opened.load()
            return opened.copy()
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise BadTiles(f"{path} cannot be read as an image: {error}") from error


def _bands(path: Path) -> NDArray[Any]:
    try:
        with rasterio.open(path) as opened:
            _refuse_large(path, opened.width, opened.height)
            bands: NDArray[Any] = opened.read()
    except RasterioError as error:
        raise BadTiles(f"{path} cannot be read as a raster: {error}") from error
    return bands


def _refuse_large(path: Path, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise BadTiles(f"{path} is {width} x {height} pixels; at most {MOST_PIXELS:,} are read: cut it into tiles")
