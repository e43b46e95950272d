"""A procedural town from above, in red, green and blue, with its land cover: the truth is known to the pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from models.classes import LAND_COVER
from models.data.tiles.folder import Picture

SIDE = 1024  # pixels of about half a metre
_CODES = {told.label: told.code for told in LAND_COVER}
# Red, green, blue and how much a pixel departs from it.
_COLOURS = {
    "bareland": (176, 158, 130, 9),
    "rangeland": (138, 146, 96, 9),
    "road": (118, 116, 114, 5),
    "tree": (62, 84, 52, 13),
    "water": (48, 78, 92, 3),
}
_ROOFS = ((196, 190, 182), (150, 92, 74), (128, 128, 132), (206, 202, 200), (120, 112, 104), (176, 158, 132))
# Pixels a house, and a tree, is tried on.
_GROUND_OF_HOUSE, _GROUND_OF_TREE = 1500, 175
_SHADOW, _SUN = 0.45, (6, 4)
_MEADOW, _LAKE = 0.3, 1.4  # of noise of spread 1: a third is meadow, a twelfth water

Plane = NDArray[np.float64]


def draw(seed: int, side: int = SIDE) -> Picture:
    """Return a town of its own for every seed: two grounds, water, bent roads, houses and trees with shadows."""
    random = np.random.default_rng(seed)
    codes = np.where(_clouds(random, side, 90) > _MEADOW, _CODES["rangeland"], _CODES["bareland"]).astype(np.uint8)
    codes[_clouds(random, side, 110) > _LAKE] = _CODES["water"]
    row, column = np.mgrid[:side, :side] + 14 * np.stack([_clouds(random, side, 120), _clouds(random, side, 120)])
    step, angle = random.integers(110, 170), random.uniform(0, np.pi / 2)
    along, across = column * np.cos(angle) + row * np.sin(angle), row * np.cos(angle) - column * np.sin(angle)
    codes[(np.minimum(along % step, across % (1.6 * step)) < random.uniform(9, 14)) & (codes != _CODES["water"])] = (
        _CODES["road"]
    )
    image = np.zeros((side, side, 3))
    for label, (*colour, noise) in _COLOURS.items():
        where = codes == _CODES[label]
        image[where] = (np.array(colour) + random.normal(0, 6, 3) + _grain(random, side, noise)[..., None])[where]
    tall = _houses(random, codes, image, angle) | _trees(random, codes, image)
    shadow = np.zeros_like(tall)
    for part in range(1, 5):
        shadow |= shift(tall, [size * part / 4 for size in _SUN], order=0)
    image[shadow & ~tall] *= _SHADOW
    image = gaussian_filter(image * (1 + 0.05 * _clouds(random, side, 200))[..., None], (0.6, 0.6, 0))
    pixels = np.clip(image + random.normal(0, 2.5, image.shape), 0, 255).astype(np.uint8)
    return Picture(f"town {seed}", np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), codes)


def _clouds(random: np.random.Generator, side: int, size: float) -> Plane:
    """Return noise (side, side) of mean 0 and spread 1, smooth over about `size` pixels."""
    plane = gaussian_filter(random.normal(0, 1, (side, side)), size / 3, mode="wrap")
    return np.asarray((plane - plane.mean()) / plane.std())


def _grain(random: np.random.Generator, side: int, noise: float) -> Plane:
    """Return texture of two scales, fine and of a few pixels."""
    return np.asarray(noise * (0.4 * _clouds(random, side, 1) + 0.6 * _clouds(random, side, 8)))


def _houses(random: np.random.Generator, codes: NDArray[np.uint8], image: Plane, angle: float) -> NDArray[np.bool_]:
    """Put houses on free ground, aligned with the roads; returns where they are."""
    taken = codes == _CODES["water"]
    houses = np.zeros_like(taken)
    for row, column in random.integers(30, len(codes) - 30, (codes.size // _GROUND_OF_HOUSE, 2)):
        long, wide = random.uniform(9, 22), random.uniform(6, 11)
        y, x = np.mgrid[row - 24 : row + 25, column - 24 : column + 25]
        along = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
        across = (y - row) * np.cos(angle) - (x - column) * np.sin(angle)
        inside = (np.abs(along) < long) & (np.abs(across) < wide)
        box = slice(row - 24, row + 25), slice(column - 24, column + 25)
        if ((codes[box] == _CODES["road"]) | taken[box] | houses[box])[inside].any():
            continue
        houses[box] |= inside
        slope = np.where(across > 0, 1.0, random.choice([1.0, 0.8]))[..., None]
        roof = np.array(random.choice(_ROOFS)) + random.normal(0, 8) + random.normal(0, 3, (*inside.shape, 1))
        image[box][inside] = (roof * slope)[inside]
    codes[houses] = _CODES["building"]
    return np.asarray(houses)


def _trees(random: np.random.Generator, codes: NDArray[np.uint8], image: Plane) -> NDArray[np.bool_]:
    """Put trees, by themselves and in groves, on free ground; returns where they are."""
    free = (codes == _CODES["bareland"]) | (codes == _CODES["rangeland"])
    side, count = len(codes), codes.size // _GROUND_OF_TREE
    likely = _clouds(random, side, 60)
    row, column = random.integers(0, side, (2, count))
    chosen = random.random(count) < 1 / (1 + np.exp(4 - 3 * likely[row, column]))
    distance = np.full(codes.shape, np.inf)
    for y, x, size in zip(row[chosen], column[chosen], random.uniform(3, 9, int(chosen.sum())), strict=True):
        box = slice(max(y - 9, 0), min(y + 10, side)), slice(max(x - 9, 0), min(x + 10, side))
        place = np.mgrid[box]
        distance[box] = np.minimum(distance[box], np.hypot(place[0] - y, place[1] - x) / size)
    trees = (distance < 1) & free
    *colour, noise = _COLOURS["tree"]
    image[trees] = (np.array(colour) * (1.15 - 0.4 * np.minimum(distance, 1)[..., None]))[trees]
    image[trees] += _grain(random, side, noise)[trees][:, None]
    codes[trees] = _CODES["tree"]
    return np.asarray(trees)
