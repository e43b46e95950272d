"""Writes weight files with the schema of the published So2Sat networks: Keras 2.1.5, weights without a graph."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

# (kernel size, in, out) of conv2d_1 .. conv2d_22, and the channels of batch_normalization_1 .. _19.
CONVOLUTIONS = (
    *((3, 10, 16), (1, 16, 16), (3, 16, 16), (1, 16, 64), (1, 16, 64), (1, 64, 16), (3, 16, 16), (1, 16, 64)),
    *((1, 64, 64), (3, 64, 64), (1, 64, 128), (1, 64, 128), (1, 128, 64), (3, 64, 64), (1, 64, 128)),
    *((1, 128, 128), (3, 128, 128), (1, 128, 256), (1, 128, 256), (1, 256, 128), (3, 128, 128), (1, 128, 256)),
)
NORMS = (16, 16, 16, 64, 16, 16, 64, 64, 64, 128, 64, 64, 128, 128, 128, 256, 128, 128, 256)


Arrays = dict[str, dict[str, np.ndarray]]


def keras_arrays(seed: int = 0, bands: int = 10) -> Arrays:
    """Draw weights of ResNet20's shapes, for Sentinel-2 or seven features; magnitudes keep activations near one."""
    draw = np.random.default_rng(seed)
    arrays: Arrays = {}
    for index, (size, before, after) in enumerate(CONVOLUTIONS, 1):
        arrays[f"conv2d_{index}"] = _convolution(draw, size, bands if index == 1 else before, after)
    for index, channels in enumerate(NORMS, 1):
        arrays[f"batch_normalization_{index}"] = _norm(draw, channels)
    arrays["dense_1"] = {"kernel": draw.normal(0.0, 0.2, (256, 17)), "bias": draw.normal(0.0, 0.1, 17)}
    return _single(arrays)


def sen2lcz_arrays(seed: int = 0) -> Arrays:
    """Draw weights of Sen2LCZ-Net-MF's shapes."""
    draw = np.random.default_rng(seed)
    arrays: Arrays = {}
    for index in range(16):
        width = 16 << index // 4
        before = 10 if index == 0 else width
        arrays[f"conv2d_{index + 1}"] = _convolution(draw, 3, before, width)
        arrays[f"batch_normalization_{index + 1}"] = _norm(draw, width)
    for layer, channels in (("dense_1", 32), ("dense_2", 64), ("dense_4", 128), ("dense_5", 128)):
        arrays[layer] = {"kernel": draw.normal(0.0, 0.3, (channels, 17)), "bias": draw.normal(0.0, 0.1, 17)}
    return _single(arrays)


def _convolution(draw: np.random.Generator, size: int, before: int, after: int) -> dict[str, np.ndarray]:
    kernel = draw.normal(0.0, np.sqrt(2.0 / (size * size * before)), (size, size, before, after))
    return {"kernel": kernel, "bias": draw.normal(0.0, 0.1, after)}


def _norm(draw: np.random.Generator, channels: int) -> dict[str, np.ndarray]:
    return {
        "gamma": draw.uniform(0.5, 1.5, channels),
        "beta": draw.normal(0.0, 0.2, channels),
        "moving_mean": draw.normal(0.0, 0.2, channels),
        "moving_variance": draw.uniform(0.5, 2.0, channels),
    }


def _single(arrays: Arrays) -> Arrays:
    return {layer: {n: a.astype(np.float32) for n, a in told.items()} for layer, told in arrays.items()}


def read_keras_file(path: Path, like: Arrays) -> Arrays:
    """Read the layers named in `like` as plainly as can be, for networks written independently."""
    with h5py.File(path) as file:
        return {
            layer: {name: np.asarray(file[layer][layer][f"{name}:0"]) for name in told} for layer, told in like.items()
        }


def write_keras_file(path: Path, arrays: dict[str, dict[str, np.ndarray]]) -> Path:
    """Write layers as Keras 2.1.5 does, layers without weights included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"2.1.5"
        file.attrs["backend"] = b"tensorflow"
        layers = ["input_1", *arrays, "activation_1", "add_1", "average_pooling2d_1", "flatten_1"]
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer)
            names = [f"{layer}/{name}:0" for name in arrays.get(layer, {})]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, arrays.get(layer, {}).values(), strict=True):
                group[name] = array
    return path
