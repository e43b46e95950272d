"""The contender everything is compared with: patches cut by a Python loop, torch eager, as published demos do it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.dense.engine import STEP, WINDOW, Array, serve
from models.export.graph import load_magnet
from models.networks.magnet import Magnet
from models.weights import BUNDLED_DIR

BATCH = 256


def classify(network: Magnet, spectral: Array, morphology: Array, count: int) -> Array:
    """Copy every window into an array of patches, then run them in batches of 256; (window, class)."""
    cut = [np.zeros((count * count, x.shape[0], WINDOW, WINDOW), np.float32) for x in (spectral, morphology)]
    index = 0
    for row in range(0, count * STEP, STEP):
        for column in range(0, count * STEP, STEP):
            cut[0][index] = spectral[:, row : row + WINDOW, column : column + WINDOW]
            cut[1][index] = morphology[:, row : row + WINDOW, column : column + WINDOW]
            index += 1
    out = []
    with torch.no_grad():
        for start in range(0, index, BATCH):
            logits = network(*(torch.from_numpy(x[start : start + BATCH]) for x in cut)).logits
            out.append(torch.softmax(logits, 1)[:, :, 0, 0].numpy())
    return np.concatenate(out)


def main(spec: dict[str, Any]) -> None:
    """Run rounds as `benchmarks.dense.engine` does."""
    torch.set_num_threads(1)
    network = load_magnet(BUNDLED_DIR / "magnet.safetensors")
    with np.load(spec["scene"]) as scene:
        spectral, morphology = scene["spectral"], scene["morphology"]
    serve(lambda: classify(network, spectral, morphology, spec["count"]), spec["out"])


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
