"""Reads the published weight files: Keras 2.1.5 HDF5, arrays by layer, no graph, into PyTorch modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import torch
from torch import Tensor, nn

from models.errors import WeightsUnavailable

BN_EPSILON: Final = 1e-3
"""Keras' default at the time; PyTorch's own (1e-5) changes the answers."""


def norm(channels: int) -> nn.BatchNorm2d:
    """Return a batch normalisation with Keras' epsilon."""
    return nn.BatchNorm2d(channels, eps=BN_EPSILON)


def count_parameters(network: nn.Module) -> int:
    """Count weights as Keras does: parameters and running statistics."""
    return sum(value.numel() for value in network.state_dict().values() if value.ndim)


def count_trainable(network: nn.Module) -> int:
    """Count the weights that training changes."""
    return sum(value.numel() for value in network.parameters())


def fill_network(path: Path, title: str, modules: dict[str, nn.Module]) -> None:
    """Copy a weight file into modules, named by Keras layer.

    Raises WeightsUnavailable where the file is none, or has other layers, arrays or shapes than `title` has.
    """
    try:
        with h5py.File(path, "r") as file:
            layers = _layers(file)
    except (OSError, KeyError) as error:
        msg = f"{path.name} is not a Keras weight file ({error}); fetch it again"
        raise WeightsUnavailable(msg) from error
    if set(layers) != set(modules):
        odd = ", ".join(sorted(set(layers) ^ set(modules)))
        msg = f"{path.name} is another network: the layers {odd} do not fit {title}"
        raise WeightsUnavailable(msg)
    for name, module in modules.items():
        _fill(name, module, layers[name])


def _layers(file: h5py.File) -> dict[str, dict[str, Any]]:
    """Return the arrays of every layer that has any: layer -> weight (kernel, bias, gamma, ...) -> array."""
    found = {}
    for layer in (_word(name) for name in file.attrs["layer_names"]):
        names = [_word(name) for name in file[layer].attrs["weight_names"]]
        if names:
            found[layer] = {n.split("/")[-1].split(":")[0]: np.asarray(file[layer][n], np.float32) for n in names}
    return found


def _word(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


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
