"""Trains one of the networks on some cells of a city and says what it thinks of others: what a fold asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.cities.ground import BANDS, CELL, CityGround
from models.networks.magnet import STEP, WINDOW
from models.networks.variants import AnyNetwork, build
from models.training.config import RunConfig, check
from models.training.loop import begin, device_of, optimise, precision
from models.training.sources import BandStatistics
from models.training.tiles import TileSource, city_ground

Contender = Literal["spectral", "concat", "magnet", "magnet-no-feedback"]

# A tile of 24 x 24 windows shares its convolutions; steps draw about as many windows as there are cells.
_NODES: Final = 24
_TILES: Final = 8
_STRIP: Final = 48  # rows of cells mapped at once
_BEFORE: Final = (WINDOW - CELL) // 2

_VARIANTS: Final[dict[Contender, dict[str, Any]]] = {
    "spectral": {"variant": "spectral-only"},
    "concat": {"variant": "late-concatenation"},
    "magnet": {"variant": "magnet"},
    "magnet-no-feedback": {"variant": "magnet"},
}


def train_fold(
    city: CityGround,
    train_cells: NDArray[np.integer[Any]],
    test_cells: NDArray[np.integer[Any]],
    variant: Contender,
    *,
    device: str,
    seed: int,
    epochs: float,
) -> NDArray[np.float32]:
    """Return probabilities (m, 17) of the cells `test_cells` (m, 2) after learning from `train_cells` (n, 2).

    Every season is a sample of its own in training, and the softmax is averaged over them in the answer. Statistics
    of the bands come from the whole city's imagery, which holds no label. Raises BadTraining for a device that is
    not there or a loss that is not finite.
    """
    config = _config(variant, device, seed, epochs)
    known = np.zeros(city.truth.shape, np.bool_)
    known[train_cells[:, 0], train_cells[:, 1]] = True
    source = _source(config, city, known)
    torch.manual_seed(seed)
    network = build(config.model.variant, len(BANDS))
    _set_statistics(network, source.statistics)
    run = begin(network, config, device_of(config))
    optimise(run, source, config, None)
    layers = map_cells(run.average, city, config)
    return np.ascontiguousarray(layers[:, test_cells[:, 0], test_cells[:, 1]].T)


@torch.no_grad()
def map_cells(network: AnyNetwork, city: CityGround, config: RunConfig) -> NDArray[np.float32]:
    """Return probabilities (17, cell row, cell column) of a whole city, averaged over its seasons."""
    device = next(network.parameters()).device
    rows, columns = city.truth.shape
    form = _padded(city.morphology, city, "constant")
    answer = np.zeros((17, rows, columns), np.float32)
    network.eval()
    for season in city.reflectance:
        image = _padded(season, city, "edge")
        for top in range(0, rows, _STRIP):
            count = min(_STRIP, rows - top)
            cut = slice(top * CELL, top * CELL + WINDOW + (count - 1) * STEP)
            tiles = [torch.from_numpy(np.ascontiguousarray(x[:, cut]))[None].to(device) for x in (image, form)]
            with precision(config, device):
                logits = network.grid(tiles[0], tiles[1]).logits
            answer[:, top : top + count] += torch.softmax(logits[0].float(), dim=0).cpu().numpy()
    mean: NDArray[np.float32] = answer / np.float32(len(city.reflectance))
    return mean


def _config(variant: Contender, device: str, seed: int, epochs: float) -> RunConfig:
    """Return the run of a fold: flips and hidden buildings only, as changes of light cost accuracy within a city."""
    loss = {"feedback": 0.0, "geography": 0.0} if variant == "magnet-no-feedback" else {}
    augmentation = {"gain": 0.0, "band_gain": 0.0, "offset": 0.0, "morphology_dropout": 0.1, "class_balance": 0.0}
    training = {
        "epochs": epochs, "seed": seed, "device": device, "precision": "bf16", "batch": _TILES, "nodes": _NODES,
        "warm_up": 20, "decay": 0.02, "ema": 0.99, "validate_every": 10**6,
        "threads": torch.get_num_threads(), "augmentation": augmentation, "loss": loss,
    }  # fmt: skip
    data = {"kind": "city", "folders": ["."]}
    given = {"data": data, "model": _VARIANTS[variant], "training": training, "output": {"folder": str(Path())}}
    return check(given, f"the fold of {variant}")


def _source(config: RunConfig, city: CityGround, known: NDArray[np.bool_]) -> TileSource:
    seen = city.reflectance[:, :, city.valid]
    return TileSource(
        config=config,
        grounds=[city_ground(city, known, len(BANDS))],
        held=[],
        statistics=BandStatistics.of(np.concatenate(list(seen), axis=1)),
        bands=BANDS,
        reflectance="TOA",
        told=f"{int(known.sum())} cells of {city.name}",
        held_back="nothing: the fold's other cells are measured by the caller",
    )


def _set_statistics(network: AnyNetwork, statistics: BandStatistics) -> None:
    network.mean.copy_(torch.tensor(statistics.mean).reshape(1, -1, 1, 1))
    network.spread.copy_(torch.tensor(statistics.spread).reshape(1, -1, 1, 1))


def _padded(layers: NDArray[np.float32], city: CityGround, mode: Any) -> NDArray[np.float32]:
    """Return layers (layer, y, x) cut so that window k of `grid` looks at cell k, in both directions."""
    sides = []
    for axis in (0, 1):
        size = WINDOW + STEP * (city.truth.shape[axis] - 1)
        before = max(0, _BEFORE - city.lattice[axis])
        after = max(0, city.lattice[axis] - _BEFORE + size - layers.shape[1 + axis])
        sides.append((before, after, city.lattice[axis] - _BEFORE + before, size))
    padded = np.pad(layers, [(0, 0), *((b, a) for b, a, _, _ in sides)], mode=mode)
    (_, _, top, height), (_, _, left, width) = sides
    return padded[:, top : top + height, left : left + width]
