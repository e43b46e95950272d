"""What each Local Climate Zone of the procedural city is built of, within Stewart & Oke's (2012) intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Layout = Literal["detached", "rows", "shacks", "slabs", "rings", "halls", "works", "none"]

# Materials, in the order of models.data.procedural.materials.
MATERIALS: Final = (
    "road", "yard", "concrete", "red tile", "dark roof", "metal roof", "gravel roof", "rusty roof", "grass",
    "dry grass", "green crop", "ripe crop", "broadleaf", "conifer", "bush", "soil", "sand", "water", "rock", "slag",
)  # fmt: skip
CODE: Final = {name: index for index, name in enumerate(MATERIALS)}
IMPERVIOUS: Final = frozenset({"road", "yard", "concrete", "rock"})
ROOFS: Final = frozenset({"red tile", "dark roof", "metal roof", "gravel roof", "rusty roof"})

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Template:
    """One class: shares of its blocks' area (low, high), sizes in metres and what the ground and roofs are made of.

    `built` and `pervious` are shares of the block with half of the streets around it; the rest is impervious.
    `trees` is the canopy's share of the pervious ground. Weights need not sum to one.
    """

    code: int
    block: float
    street: float
    parcel: float
    built: Range
    pervious: Range
    height: Range
    layout: Layout
    roofs: dict[str, float]
    paving: dict[str, float]
    ground: dict[str, float]
    trees: Range
    canopy: str = "broadleaf"


_TILED = {"red tile": 3.0, "dark roof": 2.0, "gravel roof": 1.0}
_FLAT = {"gravel roof": 3.0, "dark roof": 2.0, "metal roof": 0.7}
_PAVED = {"yard": 2.0, "concrete": 1.0}
_LAWN = {"grass": 4.0, "dry grass": 1.0}
_NONE: Range = (0.0, 0.0)


def _natural(code: int, block: float, ground: dict[str, float], trees: Range, canopy: str = "broadleaf") -> Template:
    return Template(code, block, 5, 2e4, _NONE, (0.97, 1.0), _NONE, "none", {}, _PAVED, ground, trees, canopy)


TEMPLATES: Final = {
    template.code: template
    for template in (
        Template(1, 120, 16, 2300, (0.45, 0.53), (0.02, 0.07), (30, 75), "detached", _FLAT, _PAVED, _LAWN, (0.3, 0.7)),
        Template(2, 110, 12, 420, (0.46, 0.56), (0.05, 0.14), (11, 23), "rings", _TILED, _PAVED, _LAWN, (0.3, 0.7)),
        Template(3, 80, 8, 210, (0.45, 0.55), (0.10, 0.22), (3.5, 8.5), "rows", _TILED, _PAVED, _LAWN, (0.2, 0.5)),
        Template(4, 190, 14, 3000, (0.26, 0.32), (0.32, 0.37), (27, 44), "detached", _FLAT, _PAVED, _LAWN, (0.3, 0.6)),
        Template(5, 170, 12, 1900, (0.25, 0.35), (0.25, 0.34), (11, 20), "slabs", _FLAT, _PAVED, _LAWN, (0.3, 0.6)),
        Template(6, 130, 10, 430, (0.24, 0.33), (0.34, 0.46), (4, 8.5), "detached", _TILED, _PAVED, _LAWN, (0.3, 0.6)),
        Template(
            7, 60, 4, 64, (0.62, 0.69), (0.19, 0.28), (3.2, 4.2), "shacks",
            {"rusty roof": 3.0, "metal roof": 1.0}, {"concrete": 1.0}, {"soil": 4.0, "dry grass": 1.0}, (0.0, 0.15),
        ),
        Template(
            8, 260, 14, 9000, (0.40, 0.45), (0.09, 0.14), (5, 9.5), "halls",
            {"metal roof": 3.0, "gravel roof": 3.0, "dark roof": 1.0}, _PAVED, _LAWN, (0.1, 0.3),
        ),
        Template(9, 220, 7, 1100, (0.12, 0.16), (0.68, 0.76), (4, 8), "detached", _TILED, _PAVED, _LAWN, (0.25, 0.5)),
        Template(
            10, 240, 12, 3600, (0.215, 0.28), (0.41, 0.48), (8, 14.5), "works",
            {"metal roof": 1.0, "dark roof": 2.0, "rusty roof": 2.0}, {"concrete": 2.0, "yard": 2.0},
            {"slag": 3.0, "dry grass": 1.0, "soil": 1.0}, (0.0, 0.12),
        ),
        _natural(11, 500, {"bush": 1.0}, (0.88, 0.97)),
        _natural(12, 400, {"grass": 3.0, "dry grass": 1.0}, (0.28, 0.48)),
        _natural(13, 400, {"bush": 1.0}, (0.02, 0.08)),
        _natural(14, 330, {"grass": 3.0, "green crop": 3.0, "ripe crop": 2.0, "dry grass": 1.0}, (0.0, 0.04)),
        Template(
            15, 400, 5, 3e4, _NONE, (0.02, 0.07), _NONE, "none", {}, {"yard": 2.0, "concrete": 2.0, "rock": 2.0},
            {"dry grass": 1.0}, (0.0, 0.1),
        ),
        _natural(16, 330, {"soil": 3.0, "sand": 1.0}, (0.0, 0.03)),
        Template(17, 600, 4, 4e5, _NONE, (1.0, 1.0), _NONE, "none", {}, _PAVED, {"water": 1.0}, _NONE),
    )
}  # fmt: skip

# How likely a district is of a class, by its distance from the centre (0: centre, 1: edge of the city).
RINGS: Final[tuple[tuple[float, dict[int, float]], ...]] = (
    (0.25, {1: 4, 2: 4, 3: 3, 12: 0.7, 5: 1}),
    (0.5, {1: 1, 2: 3, 3: 3, 4: 2, 5: 3, 12: 1, 14: 0.5, 17: 0.3}),
    (0.8, {3: 1, 4: 3, 5: 3, 6: 4, 7: 0.7, 8: 3, 10: 1, 11: 1, 12: 1, 14: 1, 15: 0.3, 17: 0.4}),
    (1.1, {4: 1, 6: 4, 7: 1, 8: 3, 9: 3, 10: 2, 11: 2, 12: 1, 13: 1.5, 14: 2, 15: 0.4, 16: 1, 17: 0.7}),
    (9.0, {6: 1, 9: 3, 10: 1, 11: 3, 12: 1, 13: 2, 14: 4, 15: 0.3, 16: 2, 17: 1.2}),
)

# What a stray block of a fragmented district may be instead.
KIN: Final[dict[int, tuple[int, ...]]] = {
    1: (2, 4), 2: (1, 3, 5), 3: (2, 6, 7), 4: (1, 5, 8), 5: (2, 4, 6), 6: (3, 5, 9, 12), 7: (3, 10), 8: (10, 5, 15),
    9: (6, 12, 14), 10: (8, 15, 16), 11: (12, 13), 12: (11, 14), 13: (12, 14), 14: (13, 16, 9), 15: (8, 16),
    16: (14, 15), 17: (17,),
}  # fmt: skip
