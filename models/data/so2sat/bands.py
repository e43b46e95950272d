"""What the networks are fed of a So2Sat patch: normalised reflectance, decibels, and the seven Sentinel-1 features."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Patches = NDArray[np.float32]

# Of the training patches of version 2 (and 4), top-of-atmosphere reflectance, bands in the order of the files.
S2_MEANS: Final = np.array(
    (
        *(0.12375696, 0.10927746, 0.10108552, 0.11423986, 0.15926567),
        *(0.18147236, 0.17457403, 0.19501607, 0.15428469, 0.10905051),
    )
)
S2_STDS: Final = np.array(
    (
        *(0.03958796, 0.04777826, 0.06636617, 0.06358875, 0.07744387),
        *(0.09101635, 0.09218466, 0.10164581, 0.09991773, 0.08780633),
    )
)
DECIBELS: Final = (-30.0, 5.0)
"""Intensities have heavy tails (values to 5,671): decibels are clipped to this range."""
S1_FEATURES: Final = (
    *("VH dB", "VV dB", "coherence, 3 x 3 mean"),
    *("VH dB, Lee", "VV dB, Lee", "coherence, Lee", "cosine of phase, Lee"),
)
_TINY: Final = float(np.finfo(np.float32).tiny)


def decibels(patches: Patches) -> Patches:
    """Return the Lee-filtered VH and VV intensities of (n, 8, y, x) in dB, clipped to [-30, 5]: (n, 2, y, x)."""
    return np.clip(_decibels(patches[:, 4:6]), *DECIBELS)


def normalised_decibels(patches: Patches) -> Patches:
    """Return `decibels` of (n, 8, y, x) scaled so that the range becomes [-1, 1]: (n, 2, y, x)."""
    low, high = DECIBELS
    return ((decibels(patches) - np.float32((low + high) / 2)) / np.float32((high - low) / 2)).astype(np.float32)


def sentinel1_features(patches: Patches) -> Patches:
    """Return the seven features of the published Sentinel-1 ResNet20, (n, 7, y, x), of bands (n, 8, y, x).

    VH and VV in dB, their coherence over 3 x 3 pixels, then the Lee-filtered VH and VV in dB, coherence and cosine of
    the phase between them, in S1_FEATURES' order; physical values, to be standardised per scene (`standardise`).
    Source: feature selection of the published inference (zhu-xlab/So2Sat-LCZ-Classification-Demo, MIT). It works on
    whole scenes: the 3 x 3 mean repeats the edge pixels of a patch here.
    """
    p = patches.astype(np.float64)
    vh, vv = p[:, 0] ** 2 + p[:, 1] ** 2, p[:, 2] ** 2 + p[:, 3] ** 2
    real = _mean3(p[:, 0] * p[:, 2] + p[:, 1] * p[:, 3])
    imaginary = _mean3(p[:, 1] * p[:, 2] - p[:, 0] * p[:, 3])
    mean_vh, mean_vv = _mean3(vh), _mean3(vv)
    features = (
        _decibels(np.where(vh > 0, vh, mean_vh)),
        _decibels(np.where(vv > 0, vv, mean_vv)),
        _coherence(real, imaginary, mean_vh, mean_vv),
        _decibels(p[:, 4]),
        _decibels(p[:, 5]),
        _coherence(p[:, 6], p[:, 7], p[:, 4], p[:, 5]),
        np.cos(np.arctan2(p[:, 7], p[:, 6])),
    )
    return np.stack(features, axis=1).astype(np.float32)


def standardise(features: Patches) -> Patches:
    """Return (n, feature, y, x) less its mean, over its standard deviation, each feature over all patches given.

    The published network was trained on features standardised over one scene each: give the patches of one city.
    """
    mean = features.mean(axis=(0, 2, 3), dtype=np.float64, keepdims=True)
    spread = features.std(axis=(0, 2, 3), dtype=np.float64, keepdims=True)
    scaled: Patches = ((features - mean) / np.maximum(spread, 1e-12)).astype(np.float32)
    return scaled


def _decibels(intensity: NDArray[np.floating]) -> Patches:
    found: Patches = (10.0 * np.log10(np.maximum(intensity, _TINY))).astype(np.float32)
    return found


def _mean3(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average (n, y, x) over 3 x 3 pixels."""
    return np.asarray(uniform_filter(images, size=(1, 3, 3), mode="nearest"), dtype=np.float64)


def _coherence(
    real: NDArray[np.float64], imaginary: NDArray[np.float64], vh: NDArray[np.float64], vv: NDArray[np.float64]
) -> NDArray[np.float64]:
    both = np.sqrt(np.maximum(vh, 0) * np.maximum(vv, 0))
    found: NDArray[np.float64] = np.zeros_like(both)
    np.divide(np.hypot(real, imaginary), both, out=found, where=both > 0)
    return found
