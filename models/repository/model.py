# ruff: noqa: INP001 - Triton loads this file by its path; it is in no package
"""The Triton python backend's side of every served network: ONNX run by OpenVINO on the CPU.

Triton copies nothing else into the process that runs this file, so it imports none of the project. The same file
serves every model; what differs (tensor names, shapes, precision, threads) is read from the model's config.pbtxt.
"""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import triton_python_backend_utils as pb_utils

PRECISIONS = {"f32": ov.Type.f32, "bf16": ov.Type.bf16, "f16": ov.Type.f16}
USED = b"used_dltensor"
SET_NAME = ctypes.pythonapi.PyCapsule_SetName
SET_NAME.argtypes = [ctypes.py_object, ctypes.c_char_p]
# What OpenVINO and the tensor bridges raise; anything else is a bug and may end the request loudly.
FAILURES = (RuntimeError, ValueError, TypeError, BufferError)


def cores() -> int:
    """Return the CPUs this process may use: its affinity, cut by the container's quota (cgroup v2)."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else max(1, min(allowed, int(quota) // int(period)))


def parameter(config: dict[str, Any], name: str, default: str) -> str:
    """Return a parameter of config.pbtxt, or the default where it is absent or empty."""
    return config.get("parameters", {}).get(name, {}).get("string_value", "") or default


def threads_of(config: dict[str, Any]) -> int:
    """Return the threads of one instance: the parameter, the environment, or an equal share of the cores."""
    told = int(parameter(config, "threads", os.environ.get("CITYZONES_TRITON_THREADS", "0")))
    instances = sum(int(group.get("count", 1)) for group in config.get("instance_group", [])) or 1
    return told if told > 0 else max(1, cores() // instances)


def tensor_of(name: str, array: np.ndarray[Any, Any]) -> Any:
    """Wrap an array without copying it, by DLPack: numpy 2's own arrays arrive empty in this server.

    The server marks a taken capsule "used_dlpack", where the protocol says "used_dltensor"; numpy's destructor then
    takes it for an error and recurses for ever. The proper name is set here.
    """
    capsule = array.__dlpack__()
    tensor = pb_utils.Tensor.from_dlpack(name, capsule)
    if SET_NAME(capsule, USED):
        raise BufferError("the capsule could not be marked as used")
    return tensor


class TritonPythonModel:
    """One instance of a model, in a process of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Compile the graph with the precision named in the config and run it once, so that the first request is fast.

        A failure raises: Triton then reports the load as failed with this message.
        """
        config = json.loads(args["model_config"])
        precision = parameter(config, "precision", "f32")
        if precision not in PRECISIONS:
            msg = f"parameter 'precision' is {precision!r}; choose one of {', '.join(PRECISIONS)}"
            raise pb_utils.TritonModelException(msg)
        self.inputs = {told["name"]: [int(d) for d in told["dims"]] for told in config["input"]}
        self.outputs = [told["name"] for told in config["output"]]
        folder = Path(args["model_repository"]) / args["model_version"]
        self.request = self._compile(folder / "model.onnx", precision, threads_of(config)).create_infer_request()
        self.request.infer({name: np.zeros(shape, np.float32) for name, shape in self.inputs.items()})

    def _compile(self, path: Path, precision: str, threads: int) -> ov.CompiledModel:
        core = ov.Core()
        model = core.read_model(path)
        # A symbolic batch is for GPUs; a fixed one lets OpenVINO plan its memory.
        model.reshape({name: ov.PartialShape(shape) for name, shape in self.inputs.items()})
        # Without a precision by name OpenVINO takes bf16 where the CPU has AMX: maps would change with the machine.
        hints = {
            ov.properties.hint.inference_precision: PRECISIONS[precision],
            ov.properties.hint.performance_mode: ov.properties.hint.PerformanceMode.LATENCY,
            ov.properties.inference_num_threads: threads,
            ov.properties.num_streams: 1,
        }
        compiled = core.compile_model(model, "CPU", hints)
        runs = compiled.get_property(ov.properties.hint.inference_precision).get_type_name()
        pb_utils.Logger.log_info(f"{path.parent.parent.name}: asked for {precision}, runs {runs}, {threads} threads")
        return compiled

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request on its own: one that fails carries its error, its neighbours their results."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            # DLPack, not as_numpy(): with numpy 2 the latter gives empty arrays in this server.
            arrays = {name: np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name)) for name in self.inputs}
            self.request.infer(arrays, share_inputs=True)
            asked = set(request.requested_output_names())
            # Copies, since the request's own buffers are overwritten by the next inference.
            answers = {name: self.request.get_tensor(name).data.copy() for name in self.outputs if name in asked}
            return pb_utils.InferenceResponse([tensor_of(name, answer) for name, answer in answers.items()])
        except FAILURES as error:
            failure = pb_utils.TritonError(f"inference failed: {error}")
            return pb_utils.InferenceResponse(error=failure)

    def finalize(self) -> None:
        """Give the compiled network back before the process ends."""
        del self.request
