"""How far probabilities can be taken at their word: calibration error, and one temperature that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

BINS: Final = 15
_TINY: Final = 1e-12
_RANGE: Final = (0.1, 10.0)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Samples by their top probability, in bins of equal width.

    `edges` (bins + 1,), and per bin (bins,) how many samples there are, their mean probability and the share of them
    that is right (both nan where there is none).
    """

    edges: Floats
    samples: NDArray[np.int64]
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """The expected calibration error: |accuracy - confidence|, weighted by the samples of each bin; nan of none."""
        if not self.samples.sum():
            return float("nan")
        gap = np.abs(np.nan_to_num(self.accuracy) - np.nan_to_num(self.confidence))
        return float((gap * self.samples).sum() / self.samples.sum())


def reliability(confidence: NDArray[Any], right: NDArray[Any], bins: int = BINS) -> Reliability:
    """Return the reliability table of top probabilities (n,) 0-1 and whether each was right (n,).

    Bins are (lower, upper], as in Guo et al. (2017, ICML).
    """
    p, hits = np.asarray(confidence, np.float64).ravel(), np.asarray(right, np.float64).ravel()
    place = np.clip(np.ceil(p * bins).astype(np.int64) - 1, 0, bins - 1)
    samples = np.bincount(place, minlength=bins)
    means = []
    for values in (p, hits):
        total = np.bincount(place, weights=values, minlength=bins)
        means.append(np.divide(total, samples, out=np.full(bins, np.nan), where=samples > 0))
    return Reliability(np.linspace(0, 1, bins + 1), samples.astype(np.int64), *means)


def calibration_error(probabilities: NDArray[Any], index: NDArray[Any], bins: int = BINS) -> float:
    """Return the expected calibration error of probabilities (n, class) against class indices (n,)."""
    p = np.asarray(probabilities, np.float64)
    return reliability(p.max(axis=1), p.argmax(axis=1) == np.asarray(index), bins).error


def negative_log_likelihood(probabilities: NDArray[Any], index: NDArray[Any]) -> float:
    """Return the mean of -ln p of the true class; probabilities (n, class), class indices (n,)."""
    p = np.asarray(probabilities, np.float64)[np.arange(len(index)), np.asarray(index)]
    return float(-np.log(np.maximum(p, _TINY)).mean())


def tempered(probabilities: NDArray[Any], temperature: float) -> Floats:
    """Return softmax(z / T) from softmax(z), over the last axis: p^(1/T), normalised."""
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), _TINY)) / temperature
    powers: Floats = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def fit_temperature(probabilities: NDArray[Any], index: NDArray[Any]) -> float:
    """Return the temperature (0.1-10) of least negative log likelihood on validation data (Guo et al. 2017).

    `probabilities` (n, class) are the network's own, `index` (n,) the true classes. It changes no class, only how sure.
    """
    if not len(index):
        msg = "a temperature is fitted on at least one sample"
        raise ValueError(msg)

    def cost(log_temperature: float) -> float:
        return negative_log_likelihood(tempered(probabilities, float(np.exp(log_temperature))), index)

    found = minimize_scalar(cost, bounds=tuple(np.log(_RANGE)), method="bounded", options={"xatol": 1e-3})
    return round(float(np.exp(found.x)), 3)
