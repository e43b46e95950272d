"""One contender: a graph on one engine, one thread, in a process of its own that runs a round per line it is sent.

`python engine.py SPEC` imports none of the project, so that it also runs in Triton's environment, which has OpenVINO.
It answers every line of standard input with a round's seconds by the clock and seconds of processor time (for the
style "gemm": the GFLOP/s, twice), and writes its probabilities, (window, class) or (class, row, column), to the file
told once the input ends. SPEC is JSON: engine, graph, precision, style, scene, out; `batch`, `every` and `count` for
patches; `tile` and `stride` for tiles.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WINDOW, STEP = 32, 10
Array = np.ndarray[Any, np.dtype[np.float32]]
Network = Callable[[Array, Array], Array]
GEMM_SIDES = (512, 1024, 2048)
GEMM_OPERATIONS = 33e9


def main(spec: dict[str, Any]) -> None:
    """Prepare what the specification tells and run rounds until the input ends."""
    if spec["style"] == "gemm":
        serve(gemm, None)
        return
    with np.load(spec["scene"]) as scene:
        spectral, morphology = scene["spectral"], scene["morphology"]
    network = (openvino if spec["engine"] == "openvino" else onnxruntime)(spec)
    if spec["style"] == "tiles":
        serve(lambda: tiles(network, spectral, morphology, spec["tile"], spec["stride"]), spec["out"])
    else:
        windows = Windows(spec["batch"], spec["every"], spec["count"])
        serve(lambda: patches(network, spectral, morphology, windows), spec["out"])


def serve(round_: Callable[[], Any], out: str | None) -> None:
    """Answer every line with the seconds a round took, after one that does not count."""
    result = round_()
    tell("ready")
    for _ in sys.stdin:
        clock, processor = time.perf_counter(), time.process_time()
        result = round_()
        clock, processor = time.perf_counter() - clock, time.process_time() - processor
        tell(f"{clock} {processor}" if out else f"{result} {result}")
    if out:
        np.save(out, result)


def tell(line: str) -> None:
    """Write a line to whoever counts."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Windows:
    """`count` x `count` windows, one each `every` pixels, `batch` at a time."""

    batch: int
    every: int
    count: int


def patches(network: Network, spectral: Array, morphology: Array, windows: Windows) -> Array:
    """Run windows in batches cut from strided views; (window, class)."""
    every, count, batch = windows.every, windows.count, windows.batch
    views = [
        np.lib.stride_tricks.sliding_window_view(x, (WINDOW, WINDOW), (1, 2))[:, : every * count : every]
        [:, :, : every * count : every].transpose(1, 2, 0, 3, 4)
        for x in (spectral, morphology)
    ]  # fmt: skip
    rows, columns = np.divmod(np.arange(count * count), count)
    out = []
    for start in range(0, count * count, batch):
        cut = slice(start, start + batch)
        out.append(network(*(view[rows[cut], columns[cut]] for view in views))[:, :, 0, 0])
    return np.concatenate(out)


def tiles(network: Network, spectral: Array, morphology: Array, tile: int, stride: int) -> Array:
    """Run tiles of `tile` pixels, one each `stride` pixels, over the whole scene; (class, node row, node column)."""
    rows, columns = ((side - tile) // stride + 1 for side in spectral.shape[1:])
    return np.concatenate(
        [np.concatenate(list(_row(network, spectral, morphology, (row * stride, columns, tile, stride))), 2)
         for row in range(rows)], 1,
    )  # fmt: skip


def _row(
    network: Network, spectral: Array, morphology: Array, told: tuple[int, int, int, int]
) -> Iterator[np.ndarray[Any, Any]]:
    top, columns, tile, stride = told
    for left in range(0, columns * stride, stride):
        cut = slice(None), slice(top, top + tile), slice(left, left + tile)
        yield network(np.ascontiguousarray(spectral[cut])[None], np.ascontiguousarray(morphology[cut])[None])[0].copy()


def openvino(spec: dict[str, Any]) -> Network:
    """Compile a graph as the served models are: latency, one stream, the precision by name."""
    import openvino as ov  # noqa: PLC0415 - only one of the two environments has it

    compiled = ov.Core().compile_model(spec["graph"], "CPU", _hints(ov, spec["precision"]))
    request = compiled.create_infer_request()

    def run(spectral: Array, morphology: Array) -> Array:
        request.infer({"spectral": spectral, "morphology": morphology}, share_inputs=True)
        answer: Array = request.get_tensor("probabilities").data
        return answer.copy()

    return run


def _hints(ov: Any, precision: str) -> dict[Any, Any]:
    return {
        ov.properties.hint.inference_precision: {"f32": ov.Type.f32, "bf16": ov.Type.bf16}[precision],
        ov.properties.hint.performance_mode: ov.properties.hint.PerformanceMode.LATENCY,
        ov.properties.inference_num_threads: 1,
        ov.properties.num_streams: 1,
    }


def onnxruntime(spec: dict[str, Any]) -> Network:
    """Open a graph in ONNX Runtime, the engine of the GPU overlay, on the CPU."""
    import onnxruntime as ort  # type: ignore[import-untyped] # noqa: PLC0415 - only one of the two environments has it

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(spec["graph"], options, providers=["CPUExecutionProvider"])

    def run(spectral: Array, morphology: Array) -> Array:
        answer: Array = session.run(["probabilities"], {"spectral": spectral, "morphology": morphology})[0]
        return answer

    return run


def gemm() -> float:
    """Return the GFLOP/s of the fastest of three square fp32 products."""
    import openvino as ov  # noqa: PLC0415 - only one of the two environments has it

    best = 0.0
    for side in GEMM_SIDES:
        first = ov.opset13.parameter([side, side], np.float32)
        second = ov.opset13.constant(np.random.default_rng(0).random((side, side), np.float32))
        model = ov.Model([ov.opset13.matmul(first, second, transpose_a=False, transpose_b=False)], [first])
        request = ov.Core().compile_model(model, "CPU", _hints(ov, "f32")).create_infer_request()
        values = np.random.default_rng(1).random((side, side), np.float32)
        request.infer([values], share_inputs=True)
        # As many operations as one tile of the dense network, so that a busy machine disturbs both alike.
        repeats = round(GEMM_OPERATIONS / (2 * side**3))
        for _ in range(2):
            start = time.perf_counter()
            for _ in range(repeats):
                request.infer([values], share_inputs=True)
            best = max(best, repeats * 2 * side**3 / (time.perf_counter() - start) / 1e9)
    return best


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
