"""What an expert is given to label, made by the engine itself, and the truth that only the expert knows."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.classes import LAND_COVER
from models.data.tiles.folder import Picture
from worker.annotation.clusters import Tree, neighbourhoods_of, standardised, tree_of
from worker.annotation.features import describe_masks
from worker.annotation.masks import find_masks

CODES = len(LAND_COVER) + 1
TILE_PIXELS = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Scene:
    """An image; `masks` (y, x) int32 says which of the material's n masks each pixel is of, -1 for none."""

    picture: Picture
    masks: NDArray[np.int32]

    @property
    def tile(self) -> str:
        """The tile it lies in."""
        return self.picture.name.split("/")[0]


@dataclass(frozen=True, slots=True)
class Material:
    """The n masks of some images: `pixels` (n, code) of their true classes, `truth` (n,) the class of most of them.

    `features` (n, feature), `near` the same standardised image by image, `pages` (n,) the neighbourhoods, `trees` one
    of each. Masks that are mostly unlabelled in the truth are left out of everything. `seconds` of processor time it
    took for `tiles` times 1024 x 1024 pixels.
    """

    pixels: NDArray[np.int64]
    truth: NDArray[np.uint8]
    features: NDArray[np.float32]
    near: NDArray[np.float32]
    pages: NDArray[np.int64]
    trees: list[Tree]
    scenes: list[Scene]
    tiles: float
    seconds: float

    @property
    def areas(self) -> NDArray[np.int64]:
        """Pixels of each mask (n,) that have a true class."""
        return np.asarray(self.pixels[:, 1:].sum(axis=1))


def prepare(pictures: Iterable[Picture]) -> Material:
    """Find, describe and cluster the masks of pictures, with the truth beside them; reading is not timed."""
    parts, scenes, pages, seconds, tiles = [], [], 0, 0.0, 0.0
    for picture in pictures:
        begun = time.process_time()
        valid = np.ones(picture.codes.shape, bool)
        labels = find_masks(picture.image, valid).labels
        features = describe_masks(picture.image, labels, valid)
        blocks = neighbourhoods_of(*_centroids(labels)) + pages
        near = standardised(features)
        seconds += time.process_time() - begun
        parts.append((_pixels(labels, picture.codes), features, near, blocks))
        scenes.append((picture, labels))
        pages += int(blocks.max(initial=-1)) + 1
        tiles += valid.size / TILE_PIXELS
    pixels, features, near, blocks = (np.concatenate(part) for part in zip(*parts, strict=True))
    known = pixels[:, 0] * 2 < pixels.sum(axis=1)
    blocks = np.unique(blocks[known], return_inverse=True)[1]
    begun = time.process_time()
    members = [np.flatnonzero(blocks == page) for page in range(int(blocks.max()) + 1)]
    trees = [tree_of(masks, near[known][masks]) for masks in members]
    seconds += time.process_time() - begun
    truth = (pixels[known, 1:].argmax(axis=1) + 1).astype(np.uint8)
    return Material(
        pixels[known], truth, features[known], near[known], blocks, trees, _numbered(scenes, known), tiles, seconds
    )


def _numbered(scenes: list[tuple[Picture, NDArray[np.int32]]], known: NDArray[np.bool_]) -> list[Scene]:
    """Return scenes with the numbers that the masks which are known (n,) have among themselves."""
    numbers = np.where(known, np.cumsum(known) - 1, -1).astype(np.int32)
    found, first = [], 0
    for picture, labels in scenes:
        count = int(labels.max())
        found.append(Scene(picture, np.concatenate([[np.int32(-1)], numbers[first : first + count]])[labels]))
        first += count
    return found


def _pixels(labels: NDArray[np.int32], codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    keys = labels.astype(np.int64).ravel() * CODES + codes.ravel()
    return np.bincount(keys, minlength=(int(labels.max()) + 1) * CODES).reshape(-1, CODES)[1:]


def _centroids(labels: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    flat, count = labels.ravel(), int(labels.max()) + 1
    places = (np.repeat(np.arange(labels.shape[0]), labels.shape[1]), np.tile(np.arange(labels.shape[1]), len(labels)))
    sizes = np.maximum(np.bincount(flat, minlength=count), 1)
    rows, columns = ((np.bincount(flat, place, count) / sizes)[1:] for place in places)
    return rows, columns
