"""What label sets are worth to a network: it learns from each, and maps tiles that were kept from it."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.annotation.material import Scene
from benchmarks.landcover.contenders import run_on
from models.data.tiles.folder import TileFolder
from models.evaluation.tiles import scores_of, tile_confusion
from models.export.graph import COVER
from models.training.landcover.runs import served_answer, train_cover


def worth(scenes: list[Scene], codes: list[NDArray[np.uint8]], kept: TileFolder, steps: int) -> dict[str, Any]:
    """Train a network on scenes with some codes, but for those of tiles that are `kept`, and measure it on these."""
    learnt = [(s, c) for s, c in zip(scenes, codes, strict=True) if s.tile not in kept.tiles]
    with tempfile.TemporaryDirectory() as folder:
        for number, (scene, drawn) in enumerate(learnt):
            _write(Path(folder) / scene.tile, f"{number:03d}", scene, drawn)
        config = run_on(Path(folder), steps=steps)
        network = train_cover(config, None).run.average
    answer = served_answer(network, config)
    found = scores_of(np.sum([tile_confusion(answer, COVER, kept.pictures((tile,))) for tile in kept.tiles], axis=0))
    labelled = sum(np.count_nonzero(drawn) for _, drawn in learnt) / sum(drawn.size for _, drawn in learnt)
    return asdict(found) | {"labelled": round(labelled, 4)}


def _write(tile: Path, name: str, scene: Scene, codes: NDArray[np.uint8]) -> None:
    for kind, pixels in (("images", np.moveaxis(scene.picture.image, 0, -1)), ("masks", codes)):
        (tile / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(pixels)).save(tile / kind / f"{name}.png")
