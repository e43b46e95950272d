"""What a forest sees of each pixel of an aerial image: colour and texture at several scales."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude, uniform_filter
from skimage.color import rgb2lab

SCALES = (1, 2, 4, 8)  # pixels: sigmas of Gaussians
SPANS = (5, 11, 21)  # pixels: sides of the squares of local spreads


def pixel_features(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Describe an image (3, y, x): features (20, y, x) float32.

    L, a and b of CIELAB, and their Gaussians at 2, 4 and 8 pixels; of L the differences between neighbouring scales,
    the gradients at 1 and 2 pixels, and the standard deviations in squares of SPANS.
    """
    lab = np.moveaxis(rgb2lab(np.moveaxis(image, 0, -1)), -1, 0).astype(np.float32)
    blurred = [np.stack([gaussian_filter(band, sigma) for band in lab]) for sigma in SCALES]
    light = lab[0]
    differences = [fine[0] - coarse[0] for fine, coarse in pairwise(blurred)]
    gradients = [gaussian_gradient_magnitude(light, sigma) for sigma in SCALES[:2]]
    spreads = [_spread(light, span) for span in SPANS]
    return np.concatenate([lab, *blurred[1:], np.stack([*differences, *gradients, *spreads])])


def _spread(light: NDArray[np.float32], span: int) -> NDArray[np.float32]:
    mean = uniform_filter(light, span)
    return np.sqrt(np.maximum(uniform_filter(light * light, span) - mean * mean, 0))
