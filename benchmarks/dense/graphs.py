"""The graphs the contenders run, all of the bundled weights: patches, tiles of 100 m nodes and of pixels, int8."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from onnxruntime.quantization import (  # type: ignore[import-untyped]
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torch import Tensor, nn

from models.data.procedural import generate
from models.networks.magnet import BANDS, FORMS, STEP, WINDOW, Magnet

Way = Literal["grid", "pixels"]
_QUANTISED = ("/early/", "/late/", "/skip", "to_spectral", "to_form", "/top/")
"""The layers that run in int8: all before the window mean. Priors, gate and heads keep their digits."""
CALIBRATION = (1001, 1002, 1003, 1004)
"""Procedural cities of the training set; the scene measured on is of the test set."""


class _Probabilities(nn.Module):
    def __init__(self, network: Magnet, way: Way) -> None:
        super().__init__()
        self.network, self.way = network, way

    def forward(self, spectral: Tensor, morphology: Tensor) -> Tensor:
        if self.way == "pixels":
            return self.network.pixels(spectral, morphology)[0]
        return torch.softmax(self.network.grid(spectral, morphology).logits, dim=1)


def export(network: Magnet, way: Way, batch: int, side: int, path: Path) -> Path:
    """Write one form of the network for inputs (batch, ., side, side) as ONNX, float32 probabilities out."""
    example = tuple(torch.zeros(batch, channels, side, side) for channels in (BANDS, FORMS))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Probabilities(network, way).eval(), example, str(path), opset_version=17, dynamo=False,
            input_names=["spectral", "morphology"], output_names=["probabilities"],
        )  # fmt: skip
    onnx.save(onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True), path)
    return path


def operations(path: Path) -> int:
    """Count the floating-point operations of every convolution in a graph, a multiply-add as two."""
    graph = onnx.load(path).graph
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    shapes = {told.name: [d.dim_value for d in told.type.tensor_type.shape.dim] for told in graph.value_info}
    return sum(
        2 * math.prod(shapes[node.output[0]]) * math.prod(weights[node.input[1]][1:])
        for node in graph.node
        if node.op_type == "Conv"
    )


def quantise(source: Path, target: Path, side: int) -> Path:
    """Write the graph with int8 convolutions: per-channel weights, activations by the range in the training cities."""
    nodes = [
        node.name
        for node in onnx.load(source).graph.node
        if node.op_type in {"Conv", "Relu"} and any(part in node.name for part in _QUANTISED)
    ]
    quantize_static(
        str(source), str(target), _Cities(side), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=nodes,
        op_types_to_quantize=["Conv", "Relu"],
    )  # fmt: skip
    return target


class _Cities(CalibrationDataReader):  # type: ignore[misc] # the base has no types
    """The inputs that show how large activations are."""

    def __init__(self, side: int) -> None:
        self._side, self._left = side, iter(CALIBRATION)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next city, or None after the last."""
        seed = next(self._left, None)
        return None if seed is None else dict(zip(("spectral", "morphology"), inputs(seed, self._side), strict=True))


def truth(seed: int, side: int, nodes: int) -> Any:
    """Return the LCZ codes (nodes, nodes) at the centres of a procedural city's windows, one each 10 pixels."""
    half = WINDOW // 2
    return generate(seed, (side, side)).truth[half::STEP, half::STEP][:nodes, :nodes]


def inputs(seed: int, side: int) -> tuple[Any, Any]:
    """Return reflectance (1, 10, side, side) and morphology (1, 6, side, side) of a procedural city."""
    city = generate(seed, (side, side))
    return city.reflectance[None].astype(np.float32), city.morphology()[None].astype(np.float32)
