"""Fills pixels without imagery near its border, so that networks do not see an edge that is not there."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from worker.imagery.sampling import Floats, Mask

# No network here looks further than 16 pixels from the pixel it decides: 23 along the diagonal.
REACH: Final = 24
MARGIN: Final = 2 * REACH


def mirrored(values: Floats, valid: Mask, fill: NDArray[np.float32]) -> Floats:
    """Return the image (band, y, x) with pixels that are not valid taken from the other side of the border.

    A pixel up to `REACH` from the imagery gets its mirror image in the nearest valid pixel, or that pixel itself
    where the mirror image is not valid; farther away it gets `fill` (one value a band). Values within a window are
    right where the image is given `MARGIN` pixels around it.
    """
    filled = np.where(valid, values, fill[:, None, None])
    if valid.all() or not valid.any():
        return filled
    distance, nearest = ndimage.distance_transform_edt(~valid, return_indices=True)
    near = ~valid & (distance <= REACH)
    own = np.argwhere(near).T
    border = nearest[:, near]
    source = 2 * border - own
    size = np.array(valid.shape)[:, None]
    inside = ((source >= 0) & (source < size)).all(axis=0)
    source = np.where(inside, source, border)
    source = np.where(valid[source[0], source[1]], source, border)
    filled[:, near] = values[:, source[0], source[1]]
    return filled
