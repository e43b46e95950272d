"""A network and an image that show where a map puts what it sees: one marked cell of 100 m, found again or not."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from models.networks.magnet import BANDS, FORMS, Magnet

MARKED, ELSEWHERE = 16, 13
"""Indices of the classes told: water where the mark is, and low plants elsewhere."""
CELL = 10
_SEEN = 20
_STEEP = 1000.0
_FULL = CELL**2 / _SEEN**2


def marked_network() -> Magnet:
    """Return MAGNET with weights that pass the first band's centre through: it averages the inner 20 x 20 pixels.

    The marked class wins where those hold a whole marked cell; nine of its ten rows are not enough.
    """
    network = Magnet()
    branch = network.spectral
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        # Averages are the second half of a pool's channels.
        for layer, source in ((branch.early[0], 0), (branch.early[2], 0), (branch.late[0], 32), (branch.late[2], 0)):
            layer.weight[0, source, 1, 1] = 1
        for layer, source in ((branch.top[0], 64), (branch.top[2], 0)):
            layer.weight[0, source, 0, 0] = 1
        network.classify.weight[MARKED, 0] = _STEEP
        network.classify.bias.fill_(-100)
        network.classify.bias[ELSEWHERE], network.classify.bias[MARKED] = 0, -_STEEP * _FULL * 0.96
    return network.eval()


class MarkedPatches(nn.Module):
    """The same decision for patches (n, band, 32, 32), as a network that cannot be run densely."""

    def probabilities(self, patches: torch.Tensor) -> torch.Tensor:
        """Return what `models.networks.so2sat_export.DenseTile` asks of a network: (n, class)."""
        seen = patches[:, 0, 6:26, 6:26].mean((1, 2))
        logits = torch.full((len(patches), 17), -100.0)
        logits[:, ELSEWHERE], logits[:, MARKED] = 0, _STEEP * (seen - _FULL * 0.96)
        return torch.softmax(logits, 1)


def marked_scene(side: tuple[int, int], row: int, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Return reflectance (10, y, x), 1 in the cell whose upper-left pixel is told, and no buildings (6, y, x)."""
    image = np.zeros((BANDS, *side), np.float32)
    image[:, row : row + CELL, column : column + CELL] = 1
    return image, np.zeros((FORMS, *side), np.float32)
