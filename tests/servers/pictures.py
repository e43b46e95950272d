"""A small network for pictures: it names the land cover whose colour in the legend lies nearest to what it sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.cards import Card
from models.classes import LAND_COVER

TILE, HALO, KERNEL, SHARPNESS = 128, 16, 5, 40.0
REACH = KERNEL - 1  # of two convolutions one after the other
PALETTE = np.array([c.rgb for c in LAND_COVER], np.uint8)


def picture_card(name: str = "pictures") -> Card:
    """Describe the network of `write_picture_model`."""
    return Card.model_validate(
        {
            "id": name, "version": "1", "product": "land-cover", "title": "Nearest colour", "licence": "Apache-2.0",
            "summary": "Names the class whose colour is nearest.", "training_data": "none", "citation": "none",
            "input": {
                "bands": ("red", "green", "blue"), "resolution": 0.5, "reflectance": "digital",
                "own_pixels": (0.5, 2.0), "coarsest": 4.0,
            },
            "geometry": {"window": 2 * REACH + 1, "step": 1, "tile": TILE, "halo": HALO, "scene": 1},
            "serving": {"model": name},
            "weights": {
                "file": f"{name}.onnx", "bundled": False, "source_url": "https://x.invalid", "source_sha256": "0",
            },
            "units": {"parcel_min_area": 0, "pixel_mean_width": 0, "pixel_elongation": 1e9},
            "limits": {"min_km2": 0.0001, "max_km2": 100},
        }
    )  # fmt: skip


def write_picture_model(path: Path, *, whole: tuple[int, int] | None = None) -> Path:
    """Write the network as ONNX: two convolutions without padding, softmax, quantised.

    It keeps the contract of served models; with `whole` it takes a padded image of that height and width at once.
    """
    height, width = whole or (TILE + 2 * HALO, TILE + 2 * HALO)
    spectral = helper.make_tensor_value_info("spectral", TensorProto.FLOAT, ["n", 3, height, width])
    size = [height - 2 * HALO, width - 2 * HALO]
    answer = helper.make_tensor_value_info("probabilities", TensorProto.UINT8, ["n", len(PALETTE), *size])
    colours = (PALETTE / 255).astype(np.float32)
    mean = np.ones((KERNEL, KERNEL), np.float32) / KERNEL**2
    first = np.eye(3, dtype=np.float32)[:, :, None, None] * mean
    second = 2 * SHARPNESS * colours[:, :, None, None] * mean
    cut = HALO - REACH
    constants = [
        helper.make_tensor("starts", TensorProto.INT64, [2], [cut, cut]),
        helper.make_tensor("ends", TensorProto.INT64, [2], [height - cut, width - cut]),
        helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("first", TensorProto.FLOAT, first.shape, first.ravel()),
        helper.make_tensor("second", TensorProto.FLOAT, second.shape, second.ravel()),
        helper.make_tensor("bias", TensorProto.FLOAT, [len(colours)], -SHARPNESS * (colours**2).sum(axis=1)),
        helper.make_tensor("levels", TensorProto.FLOAT, [], [255.0]),
    ]
    steps = [
        helper.make_node("Slice", ["spectral", "starts", "ends", "axes"], ["seen"]),
        helper.make_node("Conv", ["seen", "first"], ["blurred"]),
        helper.make_node("Conv", ["blurred", "second", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["shares"], axis=1),
        helper.make_node("Mul", ["shares", "levels"], ["scaled"]),
        helper.make_node("Round", ["scaled"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["probabilities"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(steps, "pictures", [spectral], [answer], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def painted(height: int, width: int, *, patch: int = 40, seed: int = 0) -> np.ndarray:
    """Return a quilt of classes: codes (y, x) uint8 in squares of `patch` pixels."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(1, len(PALETTE) + 1, (-(-height // patch), -(-width // patch))).astype(np.uint8)
    return codes.repeat(patch, 0).repeat(patch, 1)[:height, :width]


def picture_of(codes: np.ndarray) -> np.ndarray:
    """Return what the network takes for these classes: (band, y, x) uint8."""
    return PALETTE[codes - 1].transpose(2, 0, 1)
