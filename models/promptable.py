"""A promptable network of the SAM family as two models of Triton: what its graphs take and give."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from models.errors import WeightsUnavailable
from models.onnx_signature import FLOAT, TensorSignature, read_signature
from models.serving import Accelerator, check_tensors, place_model, tensor_text

ENCODER: Final = "annotation-encoder"
DECODER: Final = "annotation-decoder"
FILES: Final = {ENCODER: "encoder.onnx", DECODER: "decoder.onnx"}
SIDE: Final = 1024
LOW: Final = 256  # side of the decoder's masks
EMBEDDED: Final = (1, 256, 64, 64)

# The names and shapes of the export to ONNX that Meta publishes with Segment Anything (A. Kirillov et al., ICCV 2023),
# for one point and the second, empty one that the export asks for.
_INPUTS: Final[dict[str, tuple[TensorSignature, ...]]] = {
    ENCODER: (TensorSignature("image", FLOAT, (1, 3, SIDE, SIDE)),),
    DECODER: (
        TensorSignature("image_embeddings", FLOAT, EMBEDDED),
        TensorSignature("point_coords", FLOAT, (1, 2, 2)),
        TensorSignature("point_labels", FLOAT, (1, 2)),
        TensorSignature("mask_input", FLOAT, (1, 1, LOW, LOW)),
        TensorSignature("has_mask_input", FLOAT, (1,)),
        TensorSignature("orig_im_size", FLOAT, (2,)),
    ),
}
_OUTPUTS: Final[dict[str, tuple[TensorSignature, ...]]] = {
    ENCODER: (TensorSignature("image_embeddings", FLOAT, EMBEDDED),),
    DECODER: (
        TensorSignature("iou_predictions", FLOAT, (1, -1)),
        TensorSignature("low_res_masks", FLOAT, (1, -1, LOW, LOW)),
    ),
}


def add_promptable(destination: Path, folder: Path, *, accelerator: Accelerator = "cpu") -> list[str]:
    """Add `encoder.onnx` and `decoder.onnx` of a folder to a model repository, and return the models' names.

    Raises WeightsUnavailable where one is missing, BadCard where one breaks the contract above.
    """
    for model, name in FILES.items():
        path = folder / name
        if not path.is_file():
            raise WeightsUnavailable(f"{folder} holds no {name}; give both, or leave the folder out")
        check_tensors(name, read_signature(path), _INPUTS[model], _OUTPUTS[model])
        place_model(destination / model, path, config=_config(model, accelerator))
    return list(FILES)


def _config(model: str, accelerator: Accelerator) -> str:
    tensors = (("input", _INPUTS[model]), ("output", _OUTPUTS[model]))
    told = "".join(f"{kind} [ {tensor_text(one)} ]\n" for kind, found in tensors for one in found)
    cpu = accelerator == "cpu"
    head = 'backend: "python"' if cpu else 'platform: "onnxruntime_onnx"'
    file, kind = ("model.py", "KIND_CPU") if cpu else ("model.onnx", "KIND_GPU")
    return (
        f'name: "{model}"\n{head}\nmax_batch_size: 0\ndefault_model_filename: "{file}"\n{told}'
        f"instance_group [ {{ count: 1 kind: {kind} }} ]\n"
    )
