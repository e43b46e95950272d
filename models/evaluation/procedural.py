"""Measure a network on whole cities, pixel by pixel, beside a baseline that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from models.accuracy.metrics import confusion
from models.data.procedural import City
from models.networks.magnet import WINDOW
from models.networks.variants import AnyNetwork

_TILE: Final = 240


def map_city(
    network: AnyNetwork, reflectance: NDArray[np.float32], morphology: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return probabilities (17, y - w, x - w): one for each pixel whose window of w pixels lies inside the rasters.

    The first is that of pixel w / 2, w / 2. Both sides must be even.
    """
    window = network.window
    rows, cols = reflectance.shape[1] - window, reflectance.shape[2] - window
    out = np.empty((17, rows, cols), dtype=np.float32)
    with torch.inference_mode():
        for top in range(0, rows, _TILE):
            for left in range(0, cols, _TILE):
                bottom, right = min(top + _TILE, rows), min(left + _TILE, cols)
                cut = (slice(None), slice(top, bottom + window), slice(left, right + window))
                pair = (torch.from_numpy(np.ascontiguousarray(x[cut]))[None] for x in (reflectance, morphology))
                out[:, top:bottom, left:right] = network.pixels(*pair)[0][0].numpy()
    return out


def inner(raster: NDArray[Any], window: int = WINDOW) -> NDArray[Any]:
    """Cut a raster (y, x) to the pixels `map_city` answers for."""
    half = window // 2
    return raster[half : raster.shape[0] - half, half : raster.shape[1] - half]


def network_confusion(network: AnyNetwork, cities: list[City], *, buildings: bool) -> NDArray[np.int64]:
    """Map cities with or without their buildings and count (truth, predicted) over every inner pixel."""
    total = np.zeros((17, 17), dtype=np.int64)
    for city in cities:
        form = city.morphology() if buildings else np.zeros((6, *city.shape), dtype=np.float32)
        codes = map_city(network, city.reflectance, form).argmax(axis=0) + 1
        total += confusion(inner(city.truth, network.window), codes)
    return total


@dataclass(frozen=True, slots=True)
class NearestCentroid:
    """A linear discriminant: the nearest class centroid in the metric of the pooled covariance."""

    whitening: NDArray[np.float64]
    centroids: NDArray[np.float64]
    codes: NDArray[np.int64]

    @classmethod
    def fit(cls, features: NDArray[np.float64], codes: NDArray[np.int64]) -> NearestCentroid:
        """Learn from features (n, k) and codes (n,)."""
        known = np.unique(codes)
        means = np.stack([features[codes == code].mean(axis=0) for code in known])
        rest = features - means[np.searchsorted(known, codes)]
        values, vectors = np.linalg.eigh(rest.T @ rest / len(rest))
        whitening = vectors / np.sqrt(np.maximum(values, 1e-9))
        return cls(whitening, means @ whitening, known)

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the codes of features (n, k)."""
        placed = features @ self.whitening
        away = np.square(self.centroids).sum(axis=1) - 2 * placed @ self.centroids.T
        nearest: NDArray[np.int64] = self.codes[away.argmin(axis=1)]
        return nearest


def window_features(city: City, *, buildings: bool) -> NDArray[np.float64]:
    """Return (inner pixels, features): mean and spread of each band over the window, and mean morphology."""
    layers = [*city.reflectance.astype(np.float64)]
    means = [uniform_filter(layer, WINDOW) for layer in layers]
    squares = [uniform_filter(layer**2, WINDOW) for layer in layers]
    spreads = [np.sqrt(np.maximum(s - m**2, 0)) for s, m in zip(squares, means, strict=True)]
    forms = [uniform_filter(layer.astype(np.float64), WINDOW) for layer in city.morphology()[:5]] if buildings else []
    return np.stack([inner(layer).ravel() for layer in (*means, *spreads, *forms)], axis=1)


def baseline_confusion(train: list[City], test: list[City], *, buildings: bool, seed: int) -> NDArray[np.int64]:
    """Fit the nearest-centroid baseline on pixels of the training cities and count over the test cities."""
    rng = np.random.default_rng(seed)
    features, codes = [], []
    for city in train:
        truth = inner(city.truth).ravel().astype(np.int64)
        chosen = rng.choice(len(truth), min(6000, len(truth)), replace=False)
        features.append(window_features(city, buildings=buildings)[chosen])
        codes.append(truth[chosen])
    model = NearestCentroid.fit(np.concatenate(features), np.concatenate(codes))
    total = np.zeros((17, 17), dtype=np.int64)
    for city in test:
        total += confusion(inner(city.truth), model.predict(window_features(city, buildings=buildings)))
    return total
