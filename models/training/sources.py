"""What training asks of data: batches drawn with a generator, looks at ground held back, and statistics of bands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.export.card import LearntData
from models.networks.magnet import Output
from models.networks.variants import AnyNetwork
from models.training.config import Augmentation

_LEAST_SPREAD: Final = 1e-4  # reflectance: a band that hardly varies is not blown up


@dataclass(frozen=True, slots=True)
class Batch:
    """Reflectance (n, band, y, x), morphology (n, 6, y, x) and labels (n, node row, node column): 0-16, or -1."""

    reflectance: Tensor
    morphology: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return type(self)(*(x.to(device, non_blocking=True) for x in (self.reflectance, self.morphology, self.labels)))

    def seen_by(self, network: AnyNetwork, feedback: float = 0.0) -> Output:
        """Return what a network says of the windows."""
        return network.grid(self.reflectance, self.morphology, feedback)


@dataclass(frozen=True, slots=True)
class BandStatistics:
    """Mean, standard deviation, median and inter-quartile range of each band, reflectance 0-1."""

    mean: tuple[float, ...]
    spread: tuple[float, ...]
    median: tuple[float, ...]
    iqr: tuple[float, ...]

    @classmethod
    def of(cls, pixels: NDArray[np.floating[Any]]) -> BandStatistics:
        """Measure pixels (band, n)."""
        low, middle, high = np.percentile(pixels, (25, 50, 75), axis=1)
        mean, spread = (f(pixels.astype(np.float64), axis=1) for f in (np.mean, np.std))
        values = (mean, np.maximum(spread, _LEAST_SPREAD), middle, high - low)
        return cls(*(tuple(float(v) for v in value) for value in values))

    def rounded(self) -> dict[str, list[float]]:
        """Return median and inter-quartile range as a card's [domain] holds them."""
        return {
            "median": [round(v, 4) for v in self.median],
            "iqr": [max(round(v, 4), _LEAST_SPREAD) for v in self.iqr],
        }


class SampleSource(Protocol):
    """What the steps of a run ask of data."""

    @property
    def held_back(self) -> str:
        """What is held back, for the card."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Steps that see every sample about once."""
        ...

    def batches(self, rng: np.random.Generator, first: int) -> Iterator[Batch]:
        """Yield the batches of step `first` and after, without end.

        All chance comes from `rng`, and nothing is drawn ahead: a generator put back to where it was after a step
        gives the same batches again.
        """
        ...

    def validation(self) -> Iterator[list[Batch]]:
        """Yield ground held back, each as the list of its looks (seasons), whose probabilities are averaged."""
        ...


class TrainingSource(LearntData, SampleSource, Protocol):
    """Data a network learns from, and what its card says of them."""

    @property
    def statistics(self) -> BandStatistics:
        """Of the bands of the data learnt from."""
        ...


def relit(
    reflectance: NDArray[np.float32], rng: np.random.Generator, augmentation: Augmentation
) -> NDArray[np.float32]:
    """Change light and haze of one sample (band, y, x) as `augmentation` says; never below 0."""
    bands = (len(reflectance), 1, 1)
    gain: Any = 1.0
    if augmentation.gain:
        gain = rng.uniform(1 / (1 + augmentation.gain), 1 + augmentation.gain)
    if augmentation.band_gain:
        gain = gain * rng.uniform(1 - augmentation.band_gain, 1 + augmentation.band_gain, bands)
    offset = rng.normal(0, augmentation.offset, bands) if augmentation.offset else 0.0
    changed: NDArray[np.float32] = np.clip(reflectance * gain + offset, 0, None).astype(np.float32)
    return changed


def turned(x: NDArray[Any], turn: int, *, flip: bool) -> NDArray[Any]:
    """Return a raster (..., y, x) turned by quarters and perhaps mirrored."""
    around = np.rot90(x, turn, axes=(-2, -1))
    return np.ascontiguousarray(around[..., ::-1] if flip else around)
