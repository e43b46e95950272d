"""The palettes under four visions, and the search that found the safe one."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000

from benchmarks.palettes import RANGES, VISIONS, Range, closest, palettes, search, seen

# Just below what the search reached, which docs/tiles.md tells.
FLOORS = {"local-climate-zones": 13.2, "land-cover": 17.5}


@pytest.mark.parametrize("product", RANGES)
def test_safe_colours_are_apart_in_every_vision_and_standard_ones_are_not(product: str) -> None:
    told = palettes(product)
    least = {name: {vision: closest(colours, vision) for vision in VISIONS} for name, colours in told.items()}
    assert min(least["safe"].values()) >= FLOORS[product]
    assert min(least["standard"].values()) < 5
    assert all(least["safe"][vision] > least["standard"][vision] for vision in VISIONS)


@pytest.mark.parametrize("product", RANGES)
def test_safe_colours_lie_in_the_ranges_of_their_families(product: str) -> None:
    for allowed, colour in zip(RANGES[product], palettes(product)["safe"], strict=True):
        assert len(allowed.inside(colour[None])) == 1


def test_distances_and_visions_are_those_of_the_papers() -> None:
    # Sharma et al. 2005, table 1, pairs 1, 7 and 25.
    one = np.array([[50, 2.6772, -79.7751], [50, 0, 0], [60.2574, -34.0099, 36.2677]])
    other = np.array([[50, 0, -82.7485], [50, -1, 2], [60.4626, -34.1751, 39.4387]])
    assert deltaE_ciede2000(one, other) == pytest.approx([2.0425, 2.3669, 1.2644], abs=1e-4)
    greys = np.repeat(np.linspace(0, 1, 6)[:, None], 3, 1)
    for vision in VISIONS:
        assert seen(greys, vision) == pytest.approx(greys, abs=1e-3)
    red, green = seen(np.array([[0.82, 0.1, 0.1], [0.45, 0.4, 0.1]]), "deuteranopia")
    assert np.abs(red - green).max() < 0.1


def test_the_search_parts_colours_and_stays_in_the_ranges() -> None:
    ranges = (Range((20, 40), (20, 60), (0, 60)), Range((20, 40), (20, 60), (120, 180)))
    found = search(ranges, seed=3, tries=2)
    assert all(len(allowed.inside(one[None])) == 1 for allowed, one in zip(ranges, found, strict=True))
    assert min(closest(found, vision) for vision in VISIONS) > 20
