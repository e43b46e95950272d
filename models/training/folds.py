"""Trains one of the networks on some cells of a city and says what it thinks of others: what a fold asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.cities.ground import BANDS, CELL, CityGround
from models.networks.magnet import STEP
from models.networks.variants import AnyNetwork, build
from models.training.config import RunConfig, check
from models.training.loop import begin, device_of, normalise, optimise, precision
from models.training.nodes import samples_of
from models.training.sources import BandStatistics
from models.training.tiles import TileSource, city_ground, stacked_names

Contender = Literal["spectral", "concat", "magnet", "magnet-no-feedback"]

_STRIP: Final = 48  # rows of cells mapped at once

# What measured best on the folds of Gdansk, see docs/training.md.
SETTINGS: Final[dict[str, Any]] = {
    "precision": "bf16", "batch": 4, "nodes": 40, "rate": 2e-3, "decay": 0.05, "warm_up": 20, "ema": 0.98,
    "augmentation": {
        "gain": 0.0, "band_gain": 0.0, "offset": 0.0, "morphology_dropout": 0.05, "class_balance": 0.0,
    },
    "loss": {"branches": 0.3, "geography": 0.03, "trust": 0.03, "priors": 0.0, "feedback": 0.5},
}  # fmt: skip
_VARIANTS: Final[dict[Contender, str]] = {
    "spectral": "neighbourhood-spectral-only",
    "concat": "neighbourhood-late-concatenation",
    "magnet": "neighbourhood-magnet",
    "magnet-no-feedback": "neighbourhood-magnet",
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

    The seasons are stacked, three bands each. Statistics of the bands come from the whole city's imagery, which holds
    no label. Raises BadTraining for a device that is not there or a loss that is not finite.
    """
    config = fold_config(variant, city, device, seed, epochs)
    known = np.zeros(city.truth.shape, np.bool_)
    known[train_cells[:, 0], train_cells[:, 1]] = True
    source = fold_source(config, city, known)
    torch.manual_seed(seed)
    network = build(config.model.variant, config.bands)
    normalise(network, source, seed)
    run = begin(network, config, device_of(config))
    optimise(run, samples_of(source, network, config), config, None)
    layers = map_cells(run.average, city, config)
    return np.ascontiguousarray(layers[:, test_cells[:, 0], test_cells[:, 1]].T)


@torch.no_grad()
def map_cells(network: AnyNetwork, city: CityGround, config: RunConfig) -> NDArray[np.float32]:
    """Return probabilities (17, cell row, cell column) of a whole city: of its stacked seasons, or their mean."""
    device, window = next(network.parameters()).device, config.window
    rows, columns = city.truth.shape
    form = _padded(city.morphology, city, window, "constant")
    looks = city.reflectance.reshape(-1, config.bands, *city.valid.shape)
    answer = np.zeros((17, rows, columns), np.float32)
    network.eval()
    for look in looks:
        image = _padded(look, city, window, "edge")
        for top in range(0, rows, _STRIP):
            count = min(_STRIP, rows - top)
            cut = slice(top * CELL, top * CELL + window + (count - 1) * STEP)
            tiles = [torch.from_numpy(np.ascontiguousarray(x[:, cut]))[None].to(device) for x in (image, form)]
            with precision(config, device):
                logits = network.grid(tiles[0], tiles[1]).logits
            answer[:, top : top + count] += torch.softmax(logits[0].float(), dim=0).cpu().numpy()
    mean: NDArray[np.float32] = answer / np.float32(len(looks))
    return mean


def fold_config(variant: Contender, city: CityGround, device: str, seed: int, epochs: float) -> RunConfig:
    """Return the run of a fold: flips and hidden buildings only, so that windows are measured once.

    A tile of 40 x 40 windows, or the city's side, shares its neighbourhoods; an epoch draws about as many windows as
    there are cells.
    """
    nodes = min(SETTINGS["nodes"], *city.truth.shape)
    run = {"nodes": nodes, "epochs": epochs, "seed": seed, "device": device, "threads": torch.get_num_threads()}
    training = SETTINGS | run | {"validate_every": 10**6}
    if variant == "magnet-no-feedback":
        training["loss"] = {**SETTINGS["loss"], "feedback": 0.0, "geography": 0.0}
    given = {
        "data": {"kind": "city", "folders": ["."]},
        "model": {"variant": _VARIANTS[variant], "bands": len(BANDS) * len(city.seasons)},
        "training": training,
        "output": {"folder": str(Path())},
    }
    return check(given, f"the fold of {variant}")


def fold_source(config: RunConfig, city: CityGround, known: NDArray[np.bool_]) -> TileSource:
    """Return the tiles of a city's `known` cells (row, column); nothing is held back."""
    looks = city.reflectance.reshape(-1, config.bands, *city.valid.shape)[:, :, city.valid]
    return TileSource(
        config=config,
        grounds=[city_ground(city, known, config)],
        held=[],
        statistics=BandStatistics.of(np.concatenate(list(looks), axis=1)),
        bands=stacked_names(city),
        reflectance="TOA",
        told=f"{int(known.sum())} cells of {city.name}",
        held_back="nothing: the fold's other cells are measured by the caller",
    )


def _padded(layers: NDArray[np.float32], city: CityGround, window: int, mode: Any) -> NDArray[np.float32]:
    """Return layers (layer, y, x) cut so that window k of `grid` looks at cell k, in both directions."""
    sides, reach = [], (window - CELL) // 2
    for axis in (0, 1):
        size = window + STEP * (city.truth.shape[axis] - 1)
        before = max(0, reach - city.lattice[axis])
        after = max(0, city.lattice[axis] - reach + size - layers.shape[1 + axis])
        sides.append((before, after, city.lattice[axis] - reach + before, size))
    padded = np.pad(layers, [(0, 0), *((b, a) for b, a, _, _ in sides)], mode=mode)
    (_, _, top, height), (_, _, left, width) = sides
    return padded[:, top : top + height, left : left + width]
