"""The contender that maps as a worker does: through a Triton server of its own, two tiles in flight."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dense.engine import serve
from jobs.inference import TritonModels
from jobs.plan import Block
from models.cards import card_of
from models.serving import build_repository
from service.stack.triton import EmbeddedTriton
from worker.inference import map_window


def main(spec: dict[str, Any]) -> None:
    """Start a server with one thread and run rounds as `benchmarks.dense.engine` does."""
    card = card_of("magnet")
    with np.load(spec["scene"]) as scene:
        spectral, morphology = scene["spectral"], scene["morphology"]
    side = spectral.shape[1] - 2 * card.geometry.halo
    block = Block(id="0-0", row=0, column=0, height=side, width=side)
    with tempfile.TemporaryDirectory(prefix="dense-") as folder:
        build_repository(Path(folder) / "repository", [card])
        with EmbeddedTriton(Path(folder) / "repository", logs=Path(folder), threads=1, supervise_every=0) as server:
            models = TritonModels(server.grpc_url, timeout=60, shared_memory=spec["shared_memory"])
            serve(lambda: map_window(models, card, block, spectral, morphology, before_tile=lambda: None), spec["out"])
            models.close()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
