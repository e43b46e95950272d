"""Fills pixels without imagery near its border, so that networks do not see an edge that is not there."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from worker.imagery.sampling import Floats, Mask

# As far as a network of a 32 pixel window sees, 23 along its diagonal; networks that see further say so by their halo.
REACH: Final = 24


def mirrored(values: Floats, valid: Mask, fill: NDArray[np.float32], reach: int = REACH) -> Floats:
    """Return the image (band, y, x) with pixels that are not valid taken from the other side of the border.

    A pixel up to `reach` from the imagery gets its mirror image in the nearest valid pixel, or that pixel itself
    where the mirror image is not valid; farther away it gets `fill` (one value a band). Values within a window are
    right where the image is given twice `reach` pixels around it.
    """
    filled = np.where(valid, values, fill[:, None, None])
    if valid.all() or not valid.any():
        return filled
    distance, nearest = ndimage.distance_transform_edt(~valid, return_indices=True)
    near = ~valid & (distance <= reach)
    own = np.argwhere(near).T
    border = nearest[:, near]
    source = 2 * border - own
    size = np.array(valid.shape)[:, None]
    inside = ((source >= 0) & (source < size)).all(axis=0)
    source = np.where(inside, source, border)
    source = np.where(valid[source[0], source[1]], source, border)
    filled[:, near] = values[:, source[0], source[1]]
    return filled
