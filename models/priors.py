"""What the geography of a place says of its class: seven window means, and how far they lie from each class."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

PRIORS: Final = ("sky_view_factor", "aspect_ratio", "built", "impervious", "pervious", "height", "roughness_class")

_INF: Final = float("inf")
# Stewart & Oke (2012), tables 3 and 4: sky view factor, H/W, built, impervious and pervious fractions, height of the
# roughness elements in metres, Davenport roughness class. A-C keep their cover fractions only: their sky, aspect,
# height and roughness are those of plants, which a building layer does not see.
_ANY: Final = (-_INF, _INF)
_BARE: Final = ((0.9, _INF), (-_INF, 0.1), (-_INF, 0.1))
INTERVALS: Final[NDArray[np.float64]] = np.array(
    (
        ((0.2, 0.4), (2, _INF), (0.4, 0.6), (0.4, 0.6), (-_INF, 0.1), (25, _INF), (8, 8)),
        ((0.3, 0.6), (0.75, 2), (0.4, 0.7), (0.3, 0.5), (-_INF, 0.2), (10, 25), (6, 7)),
        ((0.2, 0.6), (0.75, 1.5), (0.4, 0.7), (0.2, 0.5), (-_INF, 0.3), (3, 10), (6, 6)),
        ((0.5, 0.7), (0.75, 1.25), (0.2, 0.4), (0.3, 0.4), (0.3, 0.4), (25, _INF), (7, 8)),
        ((0.5, 0.8), (0.3, 0.75), (0.2, 0.4), (0.3, 0.5), (0.2, 0.4), (10, 25), (5, 6)),
        ((0.6, 0.9), (0.3, 0.75), (0.2, 0.4), (0.2, 0.5), (0.3, 0.6), (3, 10), (5, 6)),
        ((0.2, 0.5), (1, 2), (0.6, 0.9), (-_INF, 0.2), (-_INF, 0.3), (2, 4), (4, 5)),
        ((0.7, _INF), (0.1, 0.3), (0.3, 0.5), (0.4, 0.5), (-_INF, 0.2), (3, 10), (5, 5)),
        ((0.8, _INF), (0.1, 0.25), (0.1, 0.2), (-_INF, 0.2), (0.6, 0.8), (3, 10), (5, 6)),
        ((0.6, 0.9), (0.2, 0.5), (0.2, 0.3), (0.2, 0.4), (0.4, 0.5), (5, 15), (5, 6)),
        (_ANY, _ANY, (-_INF, 0.1), (-_INF, 0.1), (0.9, _INF), _ANY, _ANY),
        (_ANY, _ANY, (-_INF, 0.1), (-_INF, 0.1), (0.9, _INF), _ANY, _ANY),
        (_ANY, _ANY, (-_INF, 0.1), (-_INF, 0.1), (0.9, _INF), _ANY, _ANY),
        (*_BARE, (-_INF, 0.1), (0.9, _INF), (-_INF, 1), (3, 4)),
        (*_BARE, (0.9, _INF), (-_INF, 0.1), (-_INF, 0.25), (1, 2)),
        (*_BARE, (-_INF, 0.1), (0.9, _INF), (-_INF, 0.25), (1, 2)),
        (*_BARE, (-_INF, 0.1), (0.9, _INF), _ANY, (1, 1)),
    )
)
# How far outside an interval is one unit of distance, and how much each prior counts.
SIGMAS: Final[NDArray[np.float64]] = np.array((0.1, 0.3, 0.08, 0.12, 0.12, 5.0, 1.0))
WEIGHTS: Final[NDArray[np.float64]] = np.array((4.0, 3.0, 8.0, 4.0, 4.0, 6.0, 0.5))
FARTHEST: Final = 3.0  # units of distance: more counts no more
# The features a gate reads are the priors over these.
SCALES: Final[NDArray[np.float64]] = np.array((1.0, 3.0, 1.0, 1.0, 1.0, 50.0, 8.0))

SOME_BUILT: Final = 0.05  # built share from which heights, and the paving seen between houses, mean something
BARE_NDVI, GREEN_NDVI = 0.15, 0.5
_RED, _NIR, _GREEN = 2, 6, 1


def geographic_distance(priors: NDArray[Any], known: NDArray[Any]) -> NDArray[np.float64]:
    """Return how far a place lies from each class's intervals.

    `priors` and `known` (0-1) are (7, ...) in the order of PRIORS; the answer is (17, ...): the weighted mean of the
    squared distances outside the intervals in units of SIGMAS, each clipped at FARTHEST; 0 where nothing is known.
    """
    extra = (1,) * (priors.ndim - 1)
    low, high = (INTERVALS[..., k].reshape(17, 7, *extra) for k in (0, 1))
    outside = np.maximum(np.maximum(low - priors, priors - high), 0.0) / SIGMAS.reshape(7, *extra)
    weights = WEIGHTS.reshape(7, *extra) * known
    total = np.minimum(outside, FARTHEST) ** 2 * weights
    distance: NDArray[np.float64] = total.sum(axis=1) / np.maximum(weights.sum(axis=0), 1e-6)
    return distance


def imperviousness(reflectance: NDArray[Any]) -> NDArray[np.float32]:
    """Return the share of sealed ground (y, x) that ten-band reflectance (10, y, x) suggests.

    1 below an NDVI of BARE_NDVI, 0 above GREEN_NDVI and on water (NDWI above 0.1, near infrared below .12). Bare soil
    counts as sealed: see `window_priors`, which only trusts it between houses.
    """
    red, near, green = (reflectance[k].astype(np.float32) for k in (_RED, _NIR, _GREEN))
    ndvi = (near - red) / np.maximum(near + red, 1e-3)
    wet = ((green - near) / np.maximum(green + near, 1e-3) > 0.1) & (near < 0.12)  # noqa: PLR2004 - see above
    return np.where(wet, 0.0, np.clip((GREEN_NDVI - ndvi) / (GREEN_NDVI - BARE_NDVI), 0, 1)).astype(np.float32)


def window_priors(
    morphology: NDArray[Any], reflectance: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return the priors (7,), how far each is known (7,), and the valid share, of one window.

    `morphology` is (6, y, x) of models.morphology, `reflectance` (10, y, x). Impervious is what looks sealed less what
    is built; where hardly anything is built it is known only if it is near zero, since bare fields look sealed.
    """
    valid = morphology[5].astype(np.float64)
    share = float(valid.mean())
    rate = max(share, 1e-6)
    built_map = morphology[0] * valid
    open_map = np.maximum(1 - morphology[0], 1 / 16) * valid
    built, open_ground = built_map.mean() / rate, open_map.mean()
    sky = (morphology[3] * open_map).mean() / max(open_ground, 1e-6)
    aspect = (np.expm1(1.5 * morphology[4]) * open_map).mean() / max(open_ground, 1e-6)
    height = (np.expm1(4 * morphology[1]) * built_map).mean() / max(built_map.mean(), 1e-6)
    sealed = float(imperviousness(reflectance).mean())
    impervious = max(sealed - built, 0.0)
    priors = np.array((sky, aspect, built, impervious, 1 - built - impervious, height, roughness_class(height)))
    inhabited = min(built / SOME_BUILT, 1.0)
    ground = share * max(inhabited, float(np.clip((0.2 - impervious) / 0.1, 0, 1)))
    known = np.array((share, share, share, ground, ground, share * inhabited, share * inhabited))
    return priors, known, share


def roughness_class(height: float) -> float:
    """Return Davenport's class of terrain, as a real number, from z0 = H / 10 (Grimmond & Oke 1999)."""
    return float(np.clip(7 + 1.15 * np.log(max(0.1 * height, 1e-3)), 1, 8))
