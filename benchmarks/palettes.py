"""How far apart the colours of the classes look to people who see colours differently, and the search for safer ones.

    python -m benchmarks.palettes [--search local-climate-zones] [--seed 2] [--tries 300]

prints, for both palettes of both products, the smallest CIEDE2000 distance (Sharma et al. 2005,
https://doi.org/10.1002/col.20070) of any two classes as seen with normal vision, deuteranopia, protanopia and
tritanopia, simulated by the matrices of Machado, Oliveira & Fernandes (2009, https://doi.org/10.1109/TVCG.2009.113) at
severity 1.0 on linear RGB. The last line is JSON.

With `--search` it finds the safe colours of a product and prints them as well. Every class may move within ranges of
CIELAB lightness, chroma and hue that keep families together. Of random colours in them, one class after the other takes
the one farthest from its nearest neighbour among the classes, over the four visions, until none gains. The best of all
tries is refined among the colours around it. What models/classes.py holds is what seed 2 finds.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, lab2rgb, rgb2lab

from models.classes import CLASSES, Palette

Colours = NDArray[np.float64]  # (..., 3): red, green and blue, 0-1
Distances = NDArray[np.float32]
Picks = NDArray[np.intp]  # (class,): which of all candidates each class has

# Machado et al. 2009, table 1, severity 1.0.
VISIONS: Final = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


@dataclass(frozen=True, slots=True)
class Range:
    """Where the colour of a class may lie: the least and the most of lightness, of chroma, and of hue in degrees."""

    lightness: tuple[float, float]
    chroma: tuple[float, float]
    hue: tuple[float, float] = (0, 360)

    def random(self, rng: np.random.Generator, count: int) -> Colours:
        """Return colours (n, 3) of the range; those that no screen shows are moved or left out, so n may be smaller."""
        lightness, chroma, hue = (rng.uniform(*side, count) for side in (self.lightness, self.chroma, self.hue))
        lab = np.stack([lightness, chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))], -1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of colours outside sRGB, which the range is asked about below
            return self.inside(np.rint(lab2rgb(lab) * 255) / 255)

    def around(self, colour: Colours, spread: int, rng: np.random.Generator, count: int) -> Colours:
        """Return a colour (3,) and others (n, 3) of the range that differ by at most `spread` of 255 in each part."""
        near = np.rint(colour * 255) + rng.integers(-spread, spread + 1, (count, 3))
        return np.concatenate([colour[None], self.inside(np.clip(near, 0, 255) / 255)])

    def inside(self, colours: Colours) -> Colours:
        """Return those of some colours (n, 3) that lie in the range."""
        lightness, a, b = rgb2lab(colours).T
        chroma, turned = np.hypot(a, b), (np.degrees(np.arctan2(b, a)) - self.hue[0]) % 360
        fits = (lightness >= self.lightness[0]) & (lightness <= self.lightness[1])
        fits &= (chroma >= self.chroma[0]) & (chroma <= self.chroma[1]) & (turned <= self.hue[1] - self.hue[0])
        return colours[fits]


# In code order: built types from dark to light, compact ones purple and open ones orange; trees to low plants from dark
# to light green; paved ground, soil and halls without a hue; water blue.
RANGES: Final = {
    "local-climate-zones": (
        Range((14, 30), (25, 80), (-40, 40)),
        Range((34, 48), (40, 68), (-40, 30)),
        Range((52, 64), (30, 70), (-40, 30)),
        Range((30, 44), (40, 80), (35, 60)),
        Range((50, 62), (55, 90), (40, 70)),
        Range((68, 80), (40, 85), (50, 85)),
        Range((86, 95), (50, 95), (88, 104)),
        Range((62, 80), (0, 8)),
        Range((82, 92), (10, 30), (-30, 50)),
        Range((30, 48), (0, 10)),
        Range((18, 36), (24, 60), (125, 175)),
        Range((40, 56), (34, 60), (125, 170)),
        Range((50, 66), (28, 60), (105, 130)),
        Range((76, 88), (30, 55), (115, 150)),
        Range((0, 12), (0, 3)),
        Range((91, 97), (10, 24), (80, 105)),
        Range((42, 64), (45, 85), (245, 284)),
    ),
    "land-cover": (
        Range((24, 40), (25, 60), (35, 75)),
        Range((76, 88), (35, 70), (110, 150)),
        Range((55, 74), (0, 5)),
        Range((95, 100), (0, 3)),
        Range((18, 36), (24, 60), (125, 175)),
        Range((40, 60), (45, 85), (245, 284)),
        Range((48, 68), (30, 70), (105, 140)),
        Range((52, 62), (75, 105), (30, 60)),
        Range((25, 50), (30, 70), (300, 340)),
    ),
}
_CHOICE: Final = 200  # colours a class chooses from in a round, or a little more
_SPREADS: Final = (12, 6, 3)


def seen(colours: Colours, vision: str) -> Colours:
    """Return colours (..., 3) as somebody with a vision sees them."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004 - sRGB
    linear = np.clip(linear @ VISIONS[vision].T, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)  # noqa: PLR2004 - sRGB


def distances(colours: Colours, vision: str) -> Distances:
    """Return the CIEDE2000 distances (n, n) between colours (n, 3) as seen with a vision."""
    lab = rgb2lab(seen(colours, vision)).astype(np.float32)
    return np.stack([deltaE_ciede2000(one[None], lab) for one in lab])


def closest(colours: Colours, vision: str) -> float:
    """Return the smallest distance of any two of some colours (n, 3) as seen with a vision."""
    return float(distances(colours, vision)[np.triu_indices(len(colours), 1)].min())


def palettes(product: str) -> dict[str, Colours]:
    """Return the colours (class, 3) of both palettes of a product, in code order."""
    return {name: np.array([c.rgb_in(name) for c in CLASSES[product]]) / 255 for name in get_args(Palette)}


def search(ranges: tuple[Range, ...], *, seed: int, tries: int) -> Colours:
    """Return colours (class, 3) whose smallest distance over all visions is as large as `tries` tries a round find."""
    rng = np.random.default_rng(seed)
    best = _round([r.random(rng, 20 * _CHOICE)[:_CHOICE] for r in ranges], rng, tries)
    for spread in _SPREADS:
        near = [r.around(one, spread, rng, 5 * _CHOICE)[:_CHOICE] for r, one in zip(ranges, best, strict=True)]
        best = _round(near, rng, tries)
    return best


def _round(candidates: list[Colours], rng: np.random.Generator, tries: int) -> Colours:
    """Return one of each class's candidates (n, 3); half of the tries start anew, the others from the best so far."""
    colours = np.concatenate(candidates)
    apart = np.minimum.reduce([distances(colours, vision) for vision in VISIONS])
    ends = np.cumsum([len(one) for one in candidates])
    own = [np.arange(end - len(one), end) for end, one in zip(ends, candidates, strict=True)]
    best, reached = _settled(np.array([one[0] for one in own]), own, apart)
    for number in range(tries):
        start = best.copy()
        for k in rng.permutation(len(own))[: 4 if number % 2 else None]:
            start[k] = rng.choice(own[k])
        picks, least = _settled(start, own, apart)
        if least > reached:
            best, reached = picks, least
    return colours[best]


def _settled(picks: Picks, own: list[Picks], apart: Distances) -> tuple[Picks, float]:
    """Move class after class to its candidate farthest from its nearest neighbour until none gains."""
    moved = True
    while moved:
        moved = False
        for k, choice in enumerate(own):
            nearest = apart[np.ix_(choice, np.delete(picks, k))].min(1)
            if nearest.max() > nearest[picks[k] - choice[0]]:
                picks[k], moved = choice[nearest.argmax()], True
    between = apart[np.ix_(picks, picks)][np.triu_indices(len(picks), 1)]
    return picks, float(between.min())


def main() -> None:
    """Search where that is asked, measure, print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--search", choices=RANGES, help="a product")
    words.add_argument("--seed", type=int, default=2)
    words.add_argument("--tries", type=int, default=300, help="a round")
    told = words.parse_args()
    measured = {f"{product} {name}": colours for product in RANGES for name, colours in palettes(product).items()}
    if told.search:
        found = search(RANGES[told.search], seed=told.seed, tries=told.tries)
        print(*("#" + bytes(one).hex() for one in np.rint(found * 255).astype(np.uint8)))
        measured["found"] = found
    print(json.dumps({n: {v: round(closest(c, v), 2) for v in VISIONS} for n, c in measured.items()}))


if __name__ == "__main__":
    main()
