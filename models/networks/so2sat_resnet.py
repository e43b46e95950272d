"""The published So2Sat LCZ42 networks: ResNet-v2 of depth 20 on 32 x 32 patches, for Sentinel-2 and Sentinel-1."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.keras_weights import fill_network, norm

BANDS: Final = 10
S1_FEATURES: Final = 7
CLASSES: Final = 17
WINDOW: Final = 32
PARAMETERS: Final = 576_897
"""All numbers of the weight file, the normalisations' running means and variances included."""
S1_PARAMETERS: Final = 576_465
BLOCKS: Final = 2
"""Residual blocks a stage: (depth - 2) / 9 for depth 20."""


class Bottleneck(nn.Module):
    """Pre-activation 1x1 - 3x3 - 1x1 unit; the first of a stage projects its shortcut and may halve the size.

    Strides sit on 1x1 convolutions only, so Keras' asymmetric "same" padding of strided kernels never arises.
    """

    def __init__(self, channels: tuple[int, int, int], *, stride: int, projected: bool, activated: bool) -> None:
        """Build from (in, inner, out) channels; the network's very first unit has no activation of its own."""
        super().__init__()
        before, inner, after = channels
        self.bn_a = norm(before) if activated else None
        self.conv_a = nn.Conv2d(before, inner, 1, stride=stride)
        self.bn_b = norm(inner)
        self.conv_b = nn.Conv2d(inner, inner, 3, padding=1)
        self.bn_c = norm(inner)
        self.conv_c = nn.Conv2d(inner, after, 1)
        self.shortcut = nn.Conv2d(before, after, 1, stride=stride) if projected else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in, y, x) to (n, out, y / stride, x / stride)."""
        y = x if self.bn_a is None else functional.relu(self.bn_a(x))
        y = self.conv_a(y)
        y = self.conv_b(functional.relu(self.bn_b(y)))
        y = self.conv_c(functional.relu(self.bn_c(y)))
        kept = x if self.shortcut is None else self.shortcut(x)
        added: Tensor = kept + y
        return added


class So2SatResNet(nn.Module):
    """ResNet-v2, depth 20 (He et al. 2016, https://arxiv.org/abs/1603.05027), as in Keras' CIFAR-10 example.

    Input: (n, 10, 32, 32) top-of-atmosphere reflectance 0-1, bands B02 B03 B04 B05 B06 B07 B08 B8A B11 B12, taken as
    it is; the Sentinel-1 network takes seven features instead. Output: (n, 17) logits, LCZ 1-10 then A-G.
    """

    def __init__(self, bands: int = BANDS) -> None:
        super().__init__()
        self.conv = nn.Conv2d(bands, 16, 3, padding=1)
        self.bn = norm(16)
        self.blocks = nn.Sequential(*_units())
        self.bn_last = norm(256)
        self.dense = nn.Linear(256, CLASSES)

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits (n, 17) for patches (n, band, 32, 32)."""
        x = functional.relu(self.bn(self.conv(patches)))
        x = functional.relu(self.bn_last(self.blocks(x)))
        logits: Tensor = self.dense(x.mean((2, 3)))
        return logits

    def probabilities(self, patches: Tensor) -> Tensor:
        """Return probabilities (n, 17) for patches (n, band, 32, 32)."""
        return torch.softmax(self(patches), 1)


def _units() -> list[Bottleneck]:
    units, before, inner = [], 16, 16
    for stage, after in enumerate((64, 128, 256)):
        for block in range(BLOCKS):
            first = block == 0
            units.append(
                Bottleneck(
                    (before, inner, after),
                    stride=2 if first and stage else 1,
                    projected=first,
                    activated=bool(stage or block),
                )
            )
            before = after
        inner = after
    return units


def load_keras_weights(path: Path, *, bands: int = BANDS) -> So2SatResNet:
    """Read the published weight file for Sentinel-2 into the network, ready for inference.

    Raises WeightsUnavailable where the file has other layers or shapes. With `bands` 7 it is the Sentinel-1 file; see
    `load_sentinel1`.
    """
    network = So2SatResNet(bands)
    fill_network(path, "ResNet20", _pairs(network))
    return network.eval()


def load_sentinel1(path: Path) -> So2SatResNet:
    """Read the published weight file for Sentinel-1 features (n, 7, 32, 32), ready for inference.

    Features: `models.data.so2sat.bands.sentinel1_features`, standardised over the scene. No card serves it, as the
    service has no Sentinel-1 imagery: it is loaded by path, for fusion with Sentinel-2 (`models.networks.fusion`).
    Raises WeightsUnavailable.
    """
    return load_keras_weights(path, bands=S1_FEATURES)


def _pairs(network: So2SatResNet) -> dict[str, nn.Module]:
    """Name every layer as Keras did: counted in the order of construction, a unit's shortcut after its main path."""
    convolutions: list[nn.Module | None] = [network.conv]
    norms: list[nn.Module | None] = [network.bn]
    for unit in cast("Iterable[Bottleneck]", network.blocks):
        convolutions += [unit.conv_a, unit.conv_b, unit.conv_c, unit.shortcut]
        norms += [unit.bn_a, unit.bn_b, unit.bn_c]
    norms.append(network.bn_last)
    named = {f"conv2d_{i}": m for i, m in enumerate((m for m in convolutions if m is not None), 1)}
    named |= {f"batch_normalization_{i}": m for i, m in enumerate((m for m in norms if m is not None), 1)}
    return named | {"dense_1": network.dense}
