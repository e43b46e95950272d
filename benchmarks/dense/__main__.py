"""How fast one pass over a whole tile is beside the same network run on every patch.

    python -m benchmarks.dense [--rounds 5]

Every contender runs the bundled MAGNET weights on the same procedural city (seed 7, of the test set; the network was
trained on others), in a process of its own and on one thread. The processes take turns, round after round; the
figures are each one's fastest round, so that a busy machine slows nobody's figure for good. `by_processor_time` holds
the same figures by seconds of processor time, which neighbours on a shared machine disturb less.

- `demo`: what published demos do. A Python loop copies 32 x 32 patches, one each 10 pixels; torch eager, fp32, 256 a
  batch, without gradients.
- `batched`: the same patches cut from strided views, on the better of OpenVINO and ONNX Runtime.
- `dense100`: one node each 100 m for a whole tile at once, in fp32, bf16 and int8 (see `graphs.quantise`).
- `dense10`: every 10 m pixel, the phases of the first pool as a batch. Its rival `batched10` runs a window at every
  pixel of a 48 x 48 subset; times are per node, so nothing else is extrapolated.
- `triton`, `triton_grpc`: the served graph as a worker uses it, two tiles in flight, beside `direct`.

The last line is JSON. `dense_vs_*` compares the fastest precision with the rival's fp32; `same_precision` holds the
rival run in the precision of the dense network. `max_abs_diff` is over probabilities, fp32, dense against patch.
`gemm_fraction` counts the convolutions' operations (two a multiply-add) against this machine's fastest fp32 product.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.dense import engine
from benchmarks.dense.contender import Contender
from benchmarks.dense.graphs import export, inputs, operations, quantise, truth
from benchmarks.dense.report import Operations, make_report
from models.export.graph import load_magnet
from models.networks.magnet import Magnet
from models.weights import BUNDLED_DIR
from service.stack.triton_environment import find_environment

SEED, COUNT, BATCH = 7, 48, 32
NODES, PIXELS, WINDOW, STEP = 48, 240, 32, 10
SCENE_SIDE = 2 * PIXELS + WINDOW
GRID_SIDE = NODES * STEP + WINDOW - STEP
PATCHES = {"style": "patches", "batch": BATCH, "count": COUNT}
GRID = {"style": "tiles", "tile": GRID_SIDE, "stride": NODES * STEP}
EVERY_PIXEL = {"style": "tiles", "tile": PIXELS + WINDOW, "stride": PIXELS}
EVERYWHERE = (2 * PIXELS) ** 2


def main() -> None:
    """Prepare the graphs, let the contenders take turns, print a table and the JSON line."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=5)
    told = words.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="dense-") as name:
        folder = Path(name)
        network = load_magnet(BUNDLED_DIR / "magnet.safetensors")
        contenders = {c.name: c for c in _contenders(network, folder)}
        try:
            for contender in contenders.values():
                contender.start()
            for _ in range(told.rounds):
                for contender in contenders.values():
                    contender.round()
        finally:
            for contender in contenders.values():
                contender.finish()
        counted = Operations(
            operations(folder / "grid.onnx") / NODES**2, operations(folder / "pixels.onnx") / PIXELS**2
        )
        report = make_report(contenders, counted, truth(SEED, SCENE_SIDE, COUNT), EVERYWHERE)
    report |= {"rounds": told.rounds, "load": [round(load_before, 2), round(os.getloadavg()[0], 2)]}
    Console(stderr=True).print(_table(report["microseconds"]))
    sys.stdout.write(json.dumps(report) + "\n")


def _contenders(network: Magnet, folder: Path) -> list[Contender]:
    graphs = {
        "patch": export(network, "grid", BATCH, WINDOW, folder / "patch.onnx"),
        "grid": export(network, "grid", 1, GRID_SIDE, folder / "grid.onnx"),
        "pixels": export(network, "pixels", 1, PIXELS + WINDOW, folder / "pixels.onnx"),
    }
    graphs["grid_int8"] = quantise(graphs["grid"], folder / "grid_int8.onnx", GRID_SIDE)
    scene = folder / "scene.npz"
    np.savez(scene, **{k: v[0] for k, v in zip(("spectral", "morphology"), inputs(SEED, SCENE_SIDE), strict=True)})
    here = [sys.executable, "-m"]
    runner = str(Path(engine.__file__).resolve())
    openvino = [str(find_environment().folder / "bin" / "python"), runner]
    ten = {**PATCHES, "every": 1}
    hundred = {**PATCHES, "every": STEP}

    def contender(name: str, command: list[str], graph: Path | None = None, **spec: Any) -> Contender:
        told = {"engine": "openvino", "precision": "f32", "scene": str(scene), "graph": str(graph)}
        return Contender(name, command, told | spec, folder)

    return [
        contender("gemm", openvino, style="gemm"),
        contender("demo", [*here, "benchmarks.dense.demo"], count=COUNT),
        contender("batched_f32", openvino, graphs["patch"], **hundred),
        contender("batched_onnxruntime", [sys.executable, runner], graphs["patch"], **hundred, engine="onnxruntime"),
        contender("batched_bf16", openvino, graphs["patch"], **hundred, precision="bf16"),
        contender("dense100_f32", openvino, graphs["grid"], **GRID),
        contender("dense100_bf16", openvino, graphs["grid"], **GRID, precision="bf16"),
        contender("dense100_int8", openvino, graphs["grid_int8"], **GRID),
        contender("batched10_f32", openvino, graphs["patch"], **ten),
        contender("dense10_f32", openvino, graphs["pixels"], **EVERY_PIXEL),
        contender("dense10_bf16", openvino, graphs["pixels"], **EVERY_PIXEL, precision="bf16"),
        contender("direct", openvino, BUNDLED_DIR / "magnet.onnx", **EVERY_PIXEL),
        contender("triton", [*here, "benchmarks.dense.served"], shared_memory="on"),
        contender("triton_grpc", [*here, "benchmarks.dense.served"], shared_memory="off"),
    ]


def _table(microseconds: dict[str, float]) -> Table:
    table = Table("contender", "µs per node", title="one thread, fastest round")
    for name, value in microseconds.items():
        table.add_row(name, f"{value:.2f}")
    return table


if __name__ == "__main__":
    main()
