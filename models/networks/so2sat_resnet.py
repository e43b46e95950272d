"""The published So2Sat LCZ42 network: ResNet-v2 of depth 20 on 32 x 32 patches of ten Sentinel-2 bands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

import h5py
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import WeightsUnavailable

BANDS: Final = 10
CLASSES: Final = 17
WINDOW: Final = 32
PARAMETERS: Final = 576_897
"""All numbers of the weight file, the normalisations' running means and variances included."""
BLOCKS: Final = 2
"""Residual blocks a stage: (depth - 2) / 9 for depth 20."""
BN_EPSILON: Final = 1e-3
"""Keras' default at the time; PyTorch's own (1e-5) changes the answers."""


class Bottleneck(nn.Module):
    """Pre-activation 1x1 - 3x3 - 1x1 unit; the first of a stage projects its shortcut and may halve the size.

    Strides sit on 1x1 convolutions only, so Keras' asymmetric "same" padding of strided kernels never arises.
    """

    def __init__(self, channels: tuple[int, int, int], *, stride: int, projected: bool, activated: bool) -> None:
        """Build from (in, inner, out) channels; the network's very first unit has no activation of its own."""
        super().__init__()
        before, inner, after = channels
        self.bn_a = _norm(before) if activated else None
        self.conv_a = nn.Conv2d(before, inner, 1, stride=stride)
        self.bn_b = _norm(inner)
        self.conv_b = nn.Conv2d(inner, inner, 3, padding=1)
        self.bn_c = _norm(inner)
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
    it is. Output: (n, 17) logits, LCZ 1-10 then A-G.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(BANDS, 16, 3, padding=1)
        self.bn = _norm(16)
        self.blocks = nn.Sequential(*_units())
        self.bn_last = _norm(256)
        self.dense = nn.Linear(256, CLASSES)

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits (n, 17) for patches (n, 10, 32, 32)."""
        x = functional.relu(self.bn(self.conv(patches)))
        x = functional.relu(self.bn_last(self.blocks(x)))
        logits: Tensor = self.dense(x.mean((2, 3)))
        return logits


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BN_EPSILON)


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


def count_parameters(network: nn.Module) -> int:
    """Count weights as Keras does: parameters and running statistics."""
    return sum(value.numel() for value in network.state_dict().values() if value.ndim)


def load_keras_weights(path: Path) -> So2SatResNet:
    """Read the published Keras 2.1.5 weight file (HDF5, no graph inside) into the network, ready for inference.

    Raises WeightsUnavailable where the file has other layers or shapes.
    """
    network = So2SatResNet()
    try:
        with h5py.File(path, "r") as file:
            layers = _keras_layers(file)
    except (OSError, KeyError) as error:
        msg = f"{path.name} is not a Keras weight file ({error}); fetch it again"
        raise WeightsUnavailable(msg) from error
    pairs = _pairs(network)
    if set(layers) != set(pairs):
        odd = ", ".join(sorted(set(layers) ^ set(pairs)))
        msg = f"{path.name} is another network: the layers {odd} do not fit ResNet20"
        raise WeightsUnavailable(msg)
    for name, module in pairs.items():
        _fill(name, module, layers[name])
    return network.eval()


def _keras_layers(file: h5py.File) -> dict[str, dict[str, Any]]:
    """Return the arrays of every layer that has any: layer -> weight (kernel, bias, gamma, ...) -> array."""
    found = {}
    for layer in (_word(name) for name in file.attrs["layer_names"]):
        names = [_word(name) for name in file[layer].attrs["weight_names"]]
        if names:
            found[layer] = {n.split("/")[-1].split(":")[0]: np.asarray(file[layer][n], np.float32) for n in names}
    return found


def _word(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


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


_ARRAYS: Final = {
    nn.Conv2d: {"kernel": "weight", "bias": "bias"},
    nn.Linear: {"kernel": "weight", "bias": "bias"},
    nn.BatchNorm2d: {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    },
}


def _fill(name: str, module: nn.Module, arrays: dict[str, Any]) -> None:
    for theirs, ours in _ARRAYS[type(module)].items():
        target: Tensor = getattr(module, ours)
        if theirs not in arrays:
            msg = f"the layer {name} lacks its {theirs}; fetch the weights again"
            raise WeightsUnavailable(msg)
        array = arrays[theirs]
        if theirs == "kernel":
            # Keras: (y, x, in, out) and (in, out); PyTorch: (out, in, y, x) and (out, in).
            array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T  # noqa: PLR2004
        if array.shape != tuple(target.shape):
            msg = f"the layer {name} has a {theirs} of shape {array.shape}, not {tuple(target.shape)}"
            raise WeightsUnavailable(msg)
        with torch.no_grad():
            target.copy_(torch.from_numpy(np.ascontiguousarray(array)))
