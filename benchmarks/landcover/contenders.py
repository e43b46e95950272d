"""The contenders of a fold: a forest on pixels, the network as it is served, and masks that vote on its map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import felzenszwalb

from benchmarks.landcover.features import pixel_features
from models.data.tiles.folder import Picture, TileFolder
from models.evaluation.baselines import forest_probabilities
from models.evaluation.tiles import image_probabilities
from models.export.graph import COVER
from models.training.config import read_toml, run_of
from models.training.landcover.config import CoverConfig
from models.training.landcover.runs import served_answer, train_cover

CONFIG = Path(__file__).parents[2] / "models" / "training" / "land-cover.toml"
TREES = 40
LEARNT = 2000  # pixels of an image that the forest learns from


@dataclass(frozen=True, slots=True)
class Grid:
    """Which pixels are measured: every `stride`th of every row and column, of the first `images` images of a tile."""

    stride: int
    images: int | None

    def pictures(self, tiles: TileFolder, names: tuple[str, ...]) -> Iterator[Picture]:
        """Yield the pictures of some tiles that are measured on."""
        for name in names:
            few = TileFolder(tiles.path, {name: tiles.tiles[name][: self.images]}, tiles.legend)
            yield from few.pictures((name,))

    def of(self, layers: NDArray[Any]) -> NDArray[Any]:
        """Return the measured pixels of layers (..., y, x), as (..., n)."""
        cut = layers[..., :: self.stride, :: self.stride]
        return cut.reshape(*layers.shape[:-2], -1)


@dataclass(frozen=True, slots=True)
class Samples:
    """Of a tile: features (n, 20) and codes (n,) of pixels to learn from, and features (m, 20) of those measured."""

    features: NDArray[np.float32]
    codes: NDArray[np.uint8]
    measured: NDArray[np.float32]


def forest_samples(tiles: TileFolder, name: str, grid: Grid, seed: int) -> Samples:
    """Describe pixels of a tile: up to LEARNT labelled ones of each image, and those measured on."""
    rng = np.random.default_rng([seed, 5])
    learnt, codes, measured = [], [], []
    for k, picture in enumerate(tiles.pictures((name,))):
        features = pixel_features(picture.image)
        known = np.flatnonzero(picture.codes)
        known = rng.choice(known, min(LEARNT, known.size), replace=False)
        learnt.append(features.reshape(len(features), -1)[:, known].T)
        codes.append(picture.codes.ravel()[known])
        if grid.images is None or k < grid.images:
            measured.append(grid.of(features).T)
    return Samples(*(np.concatenate(part) for part in (learnt, codes, measured)))


def forest_classes(samples: dict[str, Samples], held: tuple[str, ...], seed: int) -> NDArray[np.integer[Any]]:
    """Return codes (n,) a forest gives the measured pixels of the tiles held out, after learning from the others."""
    learnt = [found for name, found in samples.items() if name not in held]
    features, codes = (np.concatenate([getattr(found, part) for found in learnt]) for part in ("features", "codes"))
    unseen = np.concatenate([samples[name].measured for name in held])
    return forest_probabilities(features, codes, unseen, seed=seed, trees=TREES).argmax(axis=1) + 1


def run_on(folder: Path, *, steps: int | None, path: Path = CONFIG) -> CoverConfig:
    """Return the run a file describes, the bundled card's unless told, on other tiles and with other steps if told."""
    told = run_of(CoverConfig, read_toml(path), path)
    data = told.data.model_copy(update={"folder": folder, "holdout": ()})
    training = told.training.model_copy(update={"steps": steps or told.training.steps})
    return told.model_copy(update={"data": data, "training": training})


def network_maps(
    config: CoverConfig, folder: Path, tiles: TileFolder, grid: Grid
) -> Iterator[tuple[Picture, NDArray[np.float32]]]:
    """Train a fold's network; yield pictures held out and their probabilities (9, y, x).

    The run lies in `folder`, and goes on there if it was stopped.
    """
    answer = served_answer(train_cover(config, folder).run.average, config)
    for picture in grid.pictures(tiles, config.data.holdout):
        yield picture, image_probabilities(answer, COVER, picture.image)


def voted(image: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> NDArray[np.integer[Any]]:
    """Return codes (y, x): every mask of a segmentation takes the class that most of its pixels were mapped to.

    The masks are those of Felzenszwalb and Huttenlocher (2004), at scale 60, sigma 0.8, of 80 pixels or more.
    """
    masks = felzenszwalb(np.moveaxis(image, 0, -1), scale=60, sigma=0.8, min_size=80)
    classes = probabilities.shape[0]
    pairs = masks.ravel() * classes + probabilities.argmax(axis=0).ravel()
    votes = np.bincount(pairs, minlength=(int(masks.max()) + 1) * classes).reshape(-1, classes)
    return votes.argmax(axis=1)[masks] + 1
