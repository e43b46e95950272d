"""Makes one answer of several: of Sentinel-1 and Sentinel-2, and of the seasons, by their probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import CityzonesError

_LOOSE = 1e-3
"""How far probabilities may be from a sum of one: twice the rounding of 17 classes in half precision."""


class BadProbabilities(CityzonesError):
    """What should be fused are no probabilities, or not of the same places."""

    code = "bad-probabilities"


def fuse_sensors(
    sentinel1: NDArray[np.floating], sentinel2: NDArray[np.floating], *, axis: int = 0
) -> NDArray[np.float32]:
    """Return the sum of two sensors' softmax, scaled to a sum of one: the published decision fusion.

    Both are probabilities of one shape, (class, y, x) or with classes along `axis`, NaN where a sensor saw nothing:
    there the other decides alone, and NaN is left where neither did. Source: Hu, Ghamisi and Zhu 2018 and the fusion
    of the So2Sat demo (zhu-xlab/So2Sat-LCZ-Classification-Demo, MIT).
    """
    return _mean([sentinel1, sentinel2], axis)


def season_mean(seasons: list[NDArray[np.floating]], *, axis: int = 0) -> NDArray[np.float32]:
    """Return the mean of the softmax of several scenes of one place, each cell over the scenes that saw it.

    Shapes and NaN as in `fuse_sensors`. A mean of probabilities, not a vote: a scene that is sure weighs more than
    one that is not.
    """
    return _mean(seasons, axis)


def _mean(answers: list[NDArray[np.floating]], axis: int) -> NDArray[np.float32]:
    if not answers:
        msg = "there is nothing to fuse; give the probabilities of one scene at least"
        raise BadProbabilities(msg)
    shapes = {answer.shape for answer in answers}
    if len(shapes) > 1:
        msg = f"probabilities of different shapes cannot be fused: {', '.join(map(str, sorted(shapes)))}"
        raise BadProbabilities(msg)
    total: NDArray[np.float64] = np.zeros(answers[0].shape)
    seen: NDArray[Any] = np.zeros_like(total.sum(axis=axis, keepdims=True))
    for number, answer in enumerate(answers):
        there = ~np.isnan(answer).any(axis=axis, keepdims=True)
        sums = np.where(there, answer, 0).sum(axis=axis, keepdims=True, dtype=np.float64)
        if (np.abs(sums - there) > _LOOSE).any() or (answer < 0).any():
            msg = f"input {number} of the fusion holds no probabilities: they lie in 0-1 and sum to 1 over the classes"
            raise BadProbabilities(msg)
        total += np.where(there, answer, 0)
        seen += there
    with np.errstate(invalid="ignore"):
        return (total / np.where(seen > 0, seen, np.nan)).astype(np.float32)
