"""Crops of aerial pictures to learn from: any place, turn, mirror image, scale and light, classes weighed evenly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name

from models.data.tiles.folder import Picture
from models.networks.land_cover import CLASSES
from models.training.config import BadTraining
from models.training.landcover.config import CoverAugmentation, CoverConfig
from models.training.sources import BandStatistics

IGNORED: Final = -1  # label of a pixel that does not count: class indices are codes less one
_STRIDE: Final = 97  # pixels: their colours need not all be counted
_TRIES: Final = 4  # places looked at before a crop that shows nothing labelled is taken


@dataclass(frozen=True, slots=True)
class CropBatch:
    """Images (n, 3, y, x), 0-1, and labels (n, y, x): 0-8, or IGNORED."""

    image: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class _Ground:
    """A picture (3, y, x) uint8, its codes (y, x), and flat indices of pixels by code."""

    image: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    pixels: dict[int, NDArray[np.int32]]


class CropSource:
    """Draws crops of the pictures of some tiles; tiles count by the square root of their pixels."""

    def __init__(self, config: CoverConfig, tiles: dict[str, list[Picture]]) -> None:
        grounds = {name: [_ground(picture) for picture in pictures] for name, pictures in tiles.items()}
        self.config = config
        self._tiles = [[g for g in found if g.pixels] for found in grounds.values()]
        self._tiles = [found for found in self._tiles if found]
        if not self._tiles:
            raise BadTraining("the tiles to learn from hold no labelled pixel; label some, or name other tiles")
        sizes = np.array([np.sqrt(sum(g.codes.size for g in found)) for found in self._tiles])
        self._chances = sizes / sizes.sum()
        counts = [np.bincount(g.codes.ravel(), minlength=CLASSES + 1) for found in self._tiles for g in found]
        self.counts: NDArray[np.int64] = np.sum(counts, axis=0)

    @property
    def statistics(self) -> BandStatistics:
        """Of red, green and blue, 0-1, of every 97th pixel."""
        seen = [g.image.reshape(3, -1)[:, ::_STRIDE] for found in self._tiles for g in found]
        return BandStatistics.of(np.concatenate(seen, axis=1) / np.float32(255))

    def batches(self, rng: np.random.Generator) -> Iterator[CropBatch]:
        """Yield batches without end; all chance comes from `rng`, and nothing is drawn ahead."""
        while True:
            crops = [self._crop(rng) for _ in range(self.config.training.batch)]
            yield CropBatch(*(torch.stack(part) for part in zip(*crops, strict=True)))

    def _crop(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        told = self.config.training
        found = self._tiles[rng.choice(len(self._tiles), p=self._chances)]
        for _ in range(_TRIES):
            ground = found[rng.integers(len(found))]
            image, codes = _warped(ground, _centre(ground, rng, told.augmentation), rng, self.config)
            if bool((codes > 0).any()):
                break
        return recoloured(image / 255, rng, told.augmentation).clamp(0, 1), codes.long() - 1


def _ground(picture: Picture) -> _Ground:
    codes = picture.codes
    pixels = {int(code): np.flatnonzero(codes == code).astype(np.int32) for code in np.unique(codes) if code}
    return _Ground(picture.image, codes, pixels)


def _centre(ground: _Ground, rng: np.random.Generator, told: CoverAugmentation) -> tuple[int, int]:
    """Draw where a crop lies, (row, column): at a pixel drawn by class, or anywhere."""
    height, width = ground.codes.shape
    if rng.random() >= told.class_balance:
        return int(rng.integers(height)), int(rng.integers(width))
    code = list(ground.pixels)[rng.integers(len(ground.pixels))]
    row, column = divmod(int(rng.choice(ground.pixels[code])), width)
    return row, column


def _warped(
    ground: _Ground, centre: tuple[int, int], rng: np.random.Generator, config: CoverConfig
) -> tuple[Tensor, Tensor]:
    """Return a crop's image (3, y, x), 0-255, and codes (y, x), turned, mirrored and scaled; 0 beyond the picture."""
    told, side = config.training.augmentation, config.training.crop
    scale = float(np.exp(rng.uniform(-np.log(told.scale), np.log(told.scale))))
    turn = rng.uniform(0, 2 * np.pi) if told.turns else 0.0
    mirror = -1.0 if told.flips and rng.random() < 0.5 else 1.0  # noqa: PLR2004 - half of them
    reach = int(np.ceil(side * scale * (0.5 if not turn else np.sqrt(0.5)))) + 2
    image, codes = _window(ground, centre, reach)
    # Where the crop's corners (-1..1) lie in the window, whose corners are -1..1 too.
    share = side * scale / (2 * reach)
    cos, sin = share * np.cos(turn), share * np.sin(turn)
    theta = torch.tensor([[[mirror * cos, -sin, 0.0], [mirror * sin, cos, 0.0]]], dtype=torch.float32)
    places = F.affine_grid(theta, [1, 1, side, side], align_corners=False)
    warped = F.grid_sample(image[None], places, mode="bilinear", padding_mode="reflection", align_corners=False)
    nearest = F.grid_sample(codes[None, None], places, mode="nearest", padding_mode="zeros", align_corners=False)
    return warped[0], nearest[0, 0]


def _window(ground: _Ground, centre: tuple[int, int], reach: int) -> tuple[Tensor, Tensor]:
    """Cut 2 * reach pixels a side around a place; beyond the picture its edge is repeated, unlabelled."""
    cut, beyond = [], []
    for at, side in zip(centre, ground.codes.shape, strict=True):
        first, last = max(at - reach, 0), min(at + reach, side)
        cut.append(slice(first, last))
        beyond.append((first - (at - reach), at + reach - last))
    image = np.pad(ground.image[:, *cut], [(0, 0), *beyond], mode="edge")
    codes = np.pad(ground.codes[*cut], beyond)
    return torch.from_numpy(image.astype(np.float32)), torch.from_numpy(codes.astype(np.float32))


def recoloured(image: Tensor, rng: np.random.Generator, told: CoverAugmentation) -> Tensor:
    """Change the light of an image (3, y, x): gamma, saturation, contrast, brightness, colour cast, noise."""
    image = image.clamp(1e-4, 1) ** float(np.exp(rng.normal(0, told.gamma)))
    grey = image.mean(dim=0, keepdim=True)
    image = grey + (image - grey) * float(rng.uniform(1 - told.saturation, 1 + told.saturation))
    middle = image.mean()
    image = middle + (image - middle) * float(np.exp(rng.normal(0, told.contrast)))
    cast = torch.from_numpy(np.exp(rng.normal(0, told.cast, (3, 1, 1))).astype(np.float32))
    image = image * cast * float(np.exp(rng.normal(0, told.gain))) + float(rng.normal(0, told.offset))
    if told.noise:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0, told.noise))
        image = image + torch.from_numpy(noise)
    return image
