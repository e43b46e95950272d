"""Writes a weight file with the schema of the published So2Sat ResNet20: Keras 2.1.5, weights without a graph."""

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


def keras_arrays(seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """Draw weights of the published network's shapes; magnitudes keep activations near one."""
    draw = np.random.default_rng(seed)
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for index, (size, before, after) in enumerate(CONVOLUTIONS, 1):
        spread = np.sqrt(2.0 / (size * size * before))
        kernel = draw.normal(0.0, spread, (size, size, before, after))
        arrays[f"conv2d_{index}"] = {"kernel": kernel, "bias": draw.normal(0.0, 0.1, after)}
    for index, channels in enumerate(NORMS, 1):
        arrays[f"batch_normalization_{index}"] = {
            "gamma": draw.uniform(0.5, 1.5, channels),
            "beta": draw.normal(0.0, 0.2, channels),
            "moving_mean": draw.normal(0.0, 0.2, channels),
            "moving_variance": draw.uniform(0.5, 2.0, channels),
        }
    arrays["dense_1"] = {"kernel": draw.normal(0.0, 0.2, (256, 17)), "bias": draw.normal(0.0, 0.1, 17)}
    return {layer: {n: a.astype(np.float32) for n, a in told.items()} for layer, told in arrays.items()}


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
