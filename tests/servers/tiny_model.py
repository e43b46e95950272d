"""A small network that keeps the contract of every served model, with a card, made by the tests themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.cards import Card

BANDS, CLASSES, STEP, TILE, HALO = ("B02", "B03"), 9, 10, 40, 5


def tiny_card(name: str = "tiny", *, morphology: bool = False, precision: str = "f32") -> Card:
    """Describe the network of `write_tiny_model`."""
    return Card.model_validate(
        {
            "id": name,
            "version": "1",
            "product": "land-cover",
            "title": "Tiny",
            "summary": "Means of 10 px cells, through softmax.",
            "licence": "Apache-2.0",
            "training_data": "none",
            "citation": "none",
            "input": {"bands": BANDS, "resolution": 10.0, "reflectance": "synthetic", "morphology": morphology},
            "geometry": {"window": STEP + 2 * HALO, "step": STEP, "tile": TILE, "halo": HALO},
            "serving": {"model": name, "precision": precision},
            "weights": {
                "file": f"{name}.onnx",
                "bundled": False,
                "source_url": "https://x.invalid",
                "source_sha256": "0",
            },
        }
    )


def tiny_weights() -> np.ndarray:
    """Return the mixing matrix (class, band)."""
    return np.random.default_rng(7).normal(0.0, 4.0, (CLASSES, len(BANDS))).astype(np.float32)


def expected_answer(spectral: np.ndarray) -> np.ndarray:
    """Compute what the network answers: (1, band, S, S) -> uint8 (1, class, N, N)."""
    core = spectral[:, :, HALO:-HALO, HALO:-HALO]
    nodes = TILE // STEP
    means = core.reshape(1, len(BANDS), nodes, STEP, nodes, STEP).mean((3, 5))
    logits = np.einsum("cb,nbyx->ncyx", tiny_weights(), means)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.round(255 * powers / powers.sum(1, keepdims=True)).astype(np.uint8)


def write_tiny_model(path: Path, *, morphology: bool = False, batch: str | int = "n") -> Path:
    """Write the network as ONNX: crop the halo, average cells, mix bands, softmax, quantise."""
    side, nodes = TILE + 2 * HALO, TILE // STEP
    inputs = [helper.make_tensor_value_info("spectral", TensorProto.FLOAT, [batch, len(BANDS), side, side])]
    if morphology:
        inputs.append(helper.make_tensor_value_info("morphology", TensorProto.FLOAT, [batch, 6, side, side]))
    output = helper.make_tensor_value_info("probabilities", TensorProto.UINT8, [batch, CLASSES, nodes, nodes])
    constants = [
        helper.make_tensor("starts", TensorProto.INT64, [2], [HALO, HALO]),
        helper.make_tensor("ends", TensorProto.INT64, [2], [HALO + TILE, HALO + TILE]),
        helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("weights", TensorProto.FLOAT, [CLASSES, len(BANDS), 1, 1], tiny_weights().ravel()),
        helper.make_tensor("levels", TensorProto.FLOAT, [], [255.0]),
    ]
    steps = [
        helper.make_node("Slice", ["spectral", "starts", "ends", "axes"], ["core"]),
        helper.make_node("AveragePool", ["core"], ["means"], kernel_shape=[STEP, STEP], strides=[STEP, STEP]),
        helper.make_node("Conv", ["means", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["shares"], axis=1),
        helper.make_node("Mul", ["shares", "levels"], ["scaled"]),
        helper.make_node("Round", ["scaled"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["probabilities"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(steps, "tiny", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path
