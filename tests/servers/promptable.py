"""A stand-in for a network of the SAM family: the same names and shapes; a point brings up what has its colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NEAR, STEEPNESS = 0.15, 200.0


def write_promptable(folder: Path) -> Path:
    """Write encoder.onnx and decoder.onnx into a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_encoder(), folder / "encoder.onnx")
    onnx.save(_decoder(), folder / "decoder.onnx")
    return folder


def _encoder() -> onnx.ModelProto:
    """Mean colours of 16 x 16 pixels in the first three of 256 channels."""
    spread = np.zeros((256, 3, 1, 1), np.float32)
    spread[[0, 1, 2], [0, 1, 2]] = 1
    nodes = [
        helper.make_node("AveragePool", ["image"], ["means"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Conv", ["means", "spread"], ["image_embeddings"]),
    ]
    return _model(
        nodes, {"image": (1, 3, 1024, 1024)}, {"image_embeddings": (1, 256, 64, 64)}, [_constant("spread", spread)]
    )


def _decoder() -> onnx.ModelProto:
    """One mask: where the colour is within NEAR of that at the first point; the other inputs change nothing."""
    nodes = [
        helper.make_node("Gather", ["point_coords", "first"], ["point"], axis=1),  # (1, 2): x, y
        helper.make_node("Gather", ["point", "swapped"], ["place"], axis=1),
        helper.make_node("Div", ["place", "stride"], ["cell"]),
        helper.make_node("Floor", ["cell"], ["floor"]),
        helper.make_node("Cast", ["floor"], ["index"], to=TensorProto.INT64),
        helper.make_node("Squeeze", ["image_embeddings", "batch"], ["one"]),
        helper.make_node("Transpose", ["one"], ["pixels"], perm=[1, 2, 0]),
        helper.make_node("GatherND", ["pixels", "index"], ["colour"]),  # (1, 256)
        helper.make_node("Sub", ["pixels", "colour"], ["apart"]),
        helper.make_node("Abs", ["apart"], ["far"]),
        helper.make_node("ReduceSum", ["far", "last"], ["distance"], keepdims=0),
        helper.make_node("Sub", ["near", "distance"], ["nearness"]),
        helper.make_node("Mul", ["nearness", "steep"], ["logits"]),
        helper.make_node("Unsqueeze", ["logits", "leading"], ["small"]),
        helper.make_node("Resize", ["small", "", "scales"], ["masks"], mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric"),
        *_unused("point_labels", "mask_input", "has_mask_input", "orig_im_size"),
        helper.make_node("Add", ["masks", "nothing"], ["low_res_masks"]),
        helper.make_node("Add", ["sure", "nothing"], ["iou_predictions"]),
    ]  # fmt: skip
    inputs = {
        "image_embeddings": (1, 256, 64, 64), "point_coords": (1, 2, 2), "point_labels": (1, 2),
        "mask_input": (1, 1, 256, 256), "has_mask_input": (1,), "orig_im_size": (2,),
    }  # fmt: skip
    constants = [
        _constant("first", np.array(0, np.int64)), _constant("swapped", np.array([1, 0], np.int64)),
        _constant("stride", np.array(16, np.float32)), _constant("batch", np.array([0], np.int64)),
        _constant("last", np.array([2], np.int64)), _constant("near", np.array(NEAR, np.float32)),
        _constant("steep", np.array(STEEPNESS, np.float32)), _constant("leading", np.array([0, 1], np.int64)),
        _constant("scales", np.array([1, 1, 4, 4], np.float32)), _constant("zero", np.array(0, np.float32)),
        _constant("sure", np.array([[0.95]], np.float32)),
    ]  # fmt: skip
    return _model(nodes, inputs, {"iou_predictions": (1, 1), "low_res_masks": (1, 1, 256, 256)}, constants)


def _unused(*names: str) -> list[onnx.NodeProto]:
    """Take inputs in without their changing anything: a graph that ignores them would lose them."""
    nodes = []
    for name in names:
        nodes.append(helper.make_node("ReduceSum", [name], [f"sum_{name}"], keepdims=0))
        nodes.append(helper.make_node("Mul", [f"sum_{name}", "zero"], [f"none_{name}"]))
    nodes.append(helper.make_node("Sum", [f"none_{name}" for name in names], ["nothing"]))
    return nodes


def _constant(name: str, values: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, ...]],
    outputs: dict[str, tuple[int, ...]],
    constants: list[onnx.TensorProto],
) -> onnx.ModelProto:
    told, given = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in part.items()]
        for part in (inputs, outputs)
    )
    graph = helper.make_graph(nodes, "stand-in", told, given, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model
