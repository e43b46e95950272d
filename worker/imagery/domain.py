"""How far an image lies from what a network was trained on."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from jobs.record import Warned
from jobs.scenes.bands import VISIBLE, canonical
from models.cards import Card

# A normal distribution's inter-quartile range in standard deviations.
_IQR_SIGMAS: Final = 1.349
_LIMIT: Final = 1.0
_ENOUGH: Final = 100
_MEANING: Final = {
    "TOA": "top-of-atmosphere reflectance (Level-1C), while Level-2A lacks the light scattered by the air",
    "BOA": "surface reflectance (Level-2A), while Level-1C holds the light scattered by the air",
    "synthetic": "synthetic imagery",
    "digital": "pictures as they are looked at",
}


def domain_distance(image: NDArray[Any], valid: NDArray[np.bool_], card: Card) -> NDArray[np.float64] | None:
    """Return, per band, (median - the card's median) in standard deviations of the training data.

    `image` is reflectance (band, y, x), `valid` (y, x). None where the card gives no domain or too little is valid.
    The deviation is estimated as inter-quartile range / 1.349, which clouds and roofs do not pull.
    """
    if card.domain is None or int(valid.sum()) < _ENOUGH:
        return None
    median = np.median(image[:, valid], axis=1)
    sigma = np.maximum(np.asarray(card.domain.iqr) / _IQR_SIGMAS, 1e-6)
    distance: NDArray[np.float64] = (median - np.asarray(card.domain.median)) / sigma
    return distance


def domain_warning(image: NDArray[Any], valid: NDArray[np.bool_], card: Card) -> Warned | None:
    """Return a warning where an image is more than one standard deviation from the training data, else None.

    The distance is the larger of two: the largest over the visible bands, where the light scattered by the air
    separates Level-1C from Level-2A and land cover matters little, and the mean over all bands, which shows a
    wrong scale or a landscape unlike any trained on. Near-infrared alone would tell fields from cities instead.
    """
    distance = domain_distance(image, valid, card)
    if distance is None:
        return None
    size = np.abs(distance)
    visible = [i for i, band in enumerate(card.input.bands) if canonical(band) in VISIBLE]
    worst = max(visible, key=lambda i: size[i]) if visible else int(size.argmax())
    largest, mean = float(size[worst]) if visible else 0.0, float(size.mean())
    if max(largest, mean) <= _LIMIT:
        return None
    side = "darker" if distance[worst] < 0 else "brighter"
    detail = (
        f"the image lies outside what {card.id} was trained on: band {card.input.bands[worst]} is "
        f"{size[worst]:.1f} standard deviations {side}, all bands together {mean:.1f}; "
        f"the network was trained on {_MEANING[card.input.reflectance]}; expect lower accuracy than the card says"
    )
    return Warned(code="domain-shift", detail=detail)
