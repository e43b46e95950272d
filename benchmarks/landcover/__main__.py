"""Measures land cover on whole tiles held out: `python -m benchmarks.landcover FOLDER`; the last line is JSON.

Nothing is learnt from a tile that is measured on. The network is trained as the bundled one is; a fold's run lies in
--runs, and goes on there if it was stopped. `--folds a,b c,d` holds out two tiles at a time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.landcover.contenders import CONFIG, Grid, forest_classes, forest_samples, network_maps, run_on, voted
from models.accuracy.calibration import calibration_error, fit_temperature, tempered
from models.data.tiles.folder import TileFolder, open_tiles
from models.errors import CityzonesError
from models.evaluation.tiles import confusion, scores_of
from models.training.landcover.config import CoverConfig

METHODS = ("random forest on pixels", "network", "network, masks vote")
SURE = 20  # of the measured pixels every so many fit the temperature

Fold = tuple[str, ...]
Matrix = NDArray[np.int64]


def main() -> None:
    """Measure, print a table, and a line of JSON."""
    given = arguments()
    try:
        tiles = open_tiles(given.folder)
        folds = [tuple(names.split(",")) for names in given.folds] or [(name,) for name in tiles.tiles]
        for fold in folds:
            tiles.only(fold)
        told = measured(given, tiles, folds)
    except CityzonesError as error:
        sys.exit(error.detail)
    Console(stderr=True).print(drawn(told["rows"]))
    sys.stdout.write(json.dumps(told) + "\n")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with <tile>/images and <tile>/masks")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the folds' runs")
    parser.add_argument("--config", type=Path, default=CONFIG, help="the network's run")
    parser.add_argument("--steps", type=int, help="steps of a fold's run, instead of the configuration's")
    parser.add_argument("--folds", nargs="*", default=[], help="tiles held out together, with commas; one by one else")
    parser.add_argument("--stride", type=int, default=6, help="every so many pixels of a row and column are measured")
    parser.add_argument("--images", type=int, help="images of a tile that are measured on; all unless told")
    parser.add_argument("--forest", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--network", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def measured(given: argparse.Namespace, tiles: TileFolder, folds: list[Fold]) -> dict[str, Any]:
    """Return rows of accuracy by method and, of the network, its calibration."""
    grid, config = Grid(given.stride, given.images), _config(given)
    rows, calibration = [], None
    if given.forest:
        began = time.monotonic()
        found = forest_matrices(tiles, folds, grid)
        rows.append(_row(METHODS[0], found, time.monotonic() - began))
    if given.network:
        seen = [network_fold(_of_fold(config, fold), given.runs / "-".join(fold), tiles, grid) for fold in folds]
        for method in METHODS[1:]:
            matrices = {fold: one.matrices[method] for fold, one in zip(folds, seen, strict=True)}
            rows.append(_row(method, matrices, sum(one.seconds[method] for one in seen)))
        calibration = calibrated([(one.shares, one.index) for one in seen])
    told = {"folder": tiles.path.name, "folds": folds, "steps": config.training.steps, **asdict(grid)}
    return told | {"rows": rows, "calibration": calibration}


def forest_matrices(tiles: TileFolder, folds: list[Fold], grid: Grid) -> dict[Fold, Matrix]:
    """Return what a forest of each fold confuses, (truth, mapped)."""
    samples = {name: forest_samples(tiles, name, grid, seed=0) for name in tiles.tiles}
    found = {}
    for fold in folds:
        truth = np.concatenate([grid.of(picture.codes) for picture in grid.pictures(tiles, fold)])
        found[fold] = confusion(truth, forest_classes(samples, fold, seed=0))
    return found


@dataclass(frozen=True, slots=True)
class NetworkFold:
    """What a fold's network confuses, by method, and probabilities (n, 9) and class indices (n,) of some pixels."""

    matrices: dict[str, Matrix]
    seconds: dict[str, float]
    shares: NDArray[np.float64]
    index: NDArray[np.int64]


def network_fold(config: CoverConfig, run: Path, tiles: TileFolder, grid: Grid) -> NetworkFold:
    """Measure the network of a fold, with and without masks that vote."""
    plain, voting = METHODS[1:]
    matrices = {method: np.zeros((9, 9), np.int64) for method in (plain, voting)}
    seconds, shares, index = dict.fromkeys(matrices, 0.0), [], []
    began = time.monotonic()
    for picture, probabilities in network_maps(config, run, tiles, grid):
        truth, mapped = grid.of(picture.codes), time.monotonic()
        matrices[plain] += confusion(truth, grid.of(probabilities).argmax(axis=0) + 1)
        matrices[voting] += confusion(truth, grid.of(voted(picture.image, probabilities)))
        known = np.flatnonzero(truth)[::SURE]
        shares.append(grid.of(probabilities)[:, known].T.astype(np.float64))
        index.append(truth[known].astype(np.int64) - 1)
        seconds[plain] += mapped - began
        began = time.monotonic()
        seconds[voting] += began - mapped
    return NetworkFold(matrices, seconds, np.concatenate(shares), np.concatenate(index))


def _config(given: argparse.Namespace) -> CoverConfig:
    told = run_on(given.folder, steps=given.steps, path=given.config)
    return told.model_copy(update={"training": told.training.model_copy(update={"resume": True})})


def _of_fold(config: CoverConfig, fold: Fold) -> CoverConfig:
    return config.model_copy(update={"data": config.data.model_copy(update={"holdout": fold})})


def calibrated(sure: list[tuple[NDArray[np.float64], NDArray[np.int64]]]) -> dict[str, float]:
    """Return the temperature of all folds; also the calibration error of folds, plain and with that of the others.

    A fold that is alone has its own temperature.
    """
    plain, mended = [], []
    for held, (shares, index) in enumerate(sure):
        others = [pair for k, pair in enumerate(sure) if k != held] or sure
        temperature = fit_temperature(*(np.concatenate(part) for part in zip(*others, strict=True)))
        plain.append(calibration_error(shares, index))
        mended.append(calibration_error(tempered(shares, temperature), index))
    whole = fit_temperature(*(np.concatenate(part) for part in zip(*sure, strict=True)))
    means = {name: round(float(np.mean(found)), 4) for name, found in (("ECE", plain), ("ECE_tempered", mended))}
    return {"temperature": round(whole, 3), **means}


def _row(method: str, found: dict[Fold, Matrix], seconds: float) -> dict[str, Any]:
    whole = scores_of(np.sum(list(found.values()), axis=0))
    each = {"-".join(fold): asdict(scores_of(matrix)) for fold, matrix in found.items()}
    return {"method": method, **asdict(whole), "folds": each, "seconds": round(seconds)}


def drawn(rows: list[dict[str, Any]]) -> Table:
    """Return the rows as a table."""
    table = Table("method", "mIoU", "OA", *rows[0]["iou"], *(f"mIoU of {fold}" for fold in rows[0]["folds"]))
    for row in rows:
        figures = [row["mean_iou"], row["overall_accuracy"], *row["iou"].values()]
        figures += [fold["mean_iou"] for fold in row["folds"].values()]
        table.add_row(row["method"], *(f"{figure:.3f}" for figure in figures))
    return table


if __name__ == "__main__":
    main()
