"""How right the networks are on a real city: five-fold by square kilometre, beside forests on the same inputs.

`python -m benchmarks.accuracy --data FOLDER [--city so2sat_pop_gdansk] [--device cpu|cuda] [--folds 5] [--quick]`
prints a table and, as JSON on the last line, its rows: (a) random forest, (a2) the same on registered cells, (a3)
balanced ExtraTrees on registered cells, (b) the spectral branch alone, (c) late concatenation, (d) MAGNET, (e) MAGNET
without feedback; each raw, and smoothed over its eight neighbours; and what (d) gains over the others, with paired
intervals. Registered cells are those moved half a cell, to where their classes were made: see
models.data.cities.ground.registered; all networks have them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.accuracy.calibration import calibration_error, fit_temperature, tempered
from models.data.cities.arrays import load_arrays
from models.data.cities.ground import CityGround, read_city, registered
from models.errors import CityzonesError, MissingExtra
from models.evaluation.baselines import TREES, city_features, forest_probabilities
from models.evaluation.city import FOLDS, Method, block_folds, cross_validated, gain, measure, smoothed

METHODS = {
    "a": "random forest",
    "a2": "random forest, registered",
    "a3": "ExtraTrees, balanced, registered",
    "b": "spectral branch alone",
    "c": "late concatenation",
    "d": "MAGNET",
    "e": "MAGNET without feedback",
}
VARIANTS = {"b": "spectral", "c": "concat", "d": "magnet", "e": "magnet-no-feedback"}
HEADS = {
    "overall_accuracy": "OA", "oa_urban": "OA_u", "oa_urban_strict": "strict", "oa_built": "OA_bu",
    "oa_weighted": "OA_w", "kappa": "kappa", "macro_f1_100": "F1",
}  # fmt: skip
EPOCHS, QUICK_EPOCHS, QUICK_TREES = 210, 4, 40
console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one method said of every test cell: probabilities (m, 17), as they are and smoothed."""

    raw: NDArray[np.float32]
    smooth: NDArray[np.float32]
    seconds: float


def main() -> None:
    """Run the methods asked for and print the table."""
    told = _arguments()
    try:
        city = _city(told)
        report = _report(city, told)
    except CityzonesError as error:
        console.print(error.detail, style="red", markup=False)
        sys.exit(1)
    console.print(_table(report["rows"]))
    print(json.dumps(report))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--city", default="so2sat_pop_gdansk", help="folder of the city inside it")
    parser.add_argument("--packed", type=Path, help="a city packed by models.data.cities.arrays, instead")
    parser.add_argument("--methods", default=",".join(METHODS), help=f"of {', '.join(METHODS)}")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the networks")
    parser.add_argument("--jobs", type=int, default=2, help="methods that run side by side, one thread each")
    parser.add_argument("--quick", action="store_true", help="few trees and epochs: a check that it runs")
    told = parser.parse_args()
    told.methods = told.methods.split(",")
    unknown = set(told.methods) - set(METHODS)
    if unknown:
        parser.error(f"there is no method {min(unknown)!r}; methods are {', '.join(METHODS)}")
    return told


def _report(city: CityGround, told: argparse.Namespace) -> dict[str, Any]:
    folds = block_folds(city, told.folds, told.seed)
    cells = np.concatenate([fold.test for fold in folds])
    truth, blocks = city.codes(cells), city.blocks(cells)
    answers: dict[str, Answer] = {}
    rows = []
    # Networks of this size gain little from a second thread: methods run side by side, one thread each.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(told.jobs, context, initializer=_alone) as pool:
        for key, (raw, seconds) in zip(told.methods, pool.map(partial(_answered, told), told.methods), strict=True):
            answers[key] = Answer(raw, smoothed(city, cells, raw), seconds)
            rows += [_row(key, answers[key], truth, blocks, smooth=smooth) for smooth in (False, True)]
    return {
        "data": f"{city.name}: {len(cells)} cells, {told.folds} folds of {len(np.unique(blocks))} square kilometres",
        "seed": told.seed,
        "epochs": QUICK_EPOCHS if told.quick else told.epochs,
        "device": told.device,
        "quick": told.quick,
        "rows": rows,
        "calibration": {key: _calibration(answers[key].raw, truth, blocks) for key in answers if key in VARIANTS},
        "gains_smoothed": {
            f"d-{key}": gain(truth, _codes(answers[key].smooth), _codes(answers["d"].smooth), blocks)
            for key in ("a", "a2", "a3", "b", "c", "e")
            if key in answers and "d" in answers
        },
    }


def _alone() -> None:
    """Keep a process to one thread."""
    threadpoolctl.threadpool_limits(1)
    with suppress(ModuleNotFoundError):  # forests need no torch
        importlib.import_module("torch").set_num_threads(1)


def _answered(told: argparse.Namespace, key: str) -> tuple[NDArray[np.float32], float]:
    """Return what a method says of every test cell, and the seconds it took."""
    city = _city(told)
    console.print(f"{key}: {METHODS[key]}", markup=False)
    started = time.monotonic()
    _, raw = cross_validated(city, block_folds(city, told.folds, told.seed), _method(key, city, told))
    return raw, time.monotonic() - started


def _city(told: argparse.Namespace) -> CityGround:
    return load_arrays(told.packed) if told.packed else read_city(told.data / told.city)


def _row(key: str, answer: Answer, truth: NDArray[Any], blocks: NDArray[Any], *, smooth: bool) -> dict[str, Any]:
    measured = measure(truth, _codes(answer.smooth if smooth else answer.raw), blocks)
    head = {"key": key, "method": METHODS[key], "smoothed": smooth, "seconds": round(answer.seconds, 1)}
    return {**head, **measured.accuracies, "intervals": measured.intervals}


def _calibration(raw: NDArray[np.float32], truth: NDArray[Any], blocks: NDArray[Any]) -> dict[str, float]:
    """Fit a temperature on every other square kilometre and tell the calibration error on the rest, as it was and then.

    `temperature` is that of all cells: of answers for cells no network had learnt.
    """
    index = np.asarray(truth, dtype=np.int64) - 1
    odd = np.searchsorted(np.unique(blocks), blocks) % 2 == 1
    half = fit_temperature(raw[odd], index[odd])
    rest = tempered(raw[~odd], half)
    return {
        "temperature": round(fit_temperature(raw, index), 3),
        "ECE": round(calibration_error(raw[~odd], index[~odd]), 4),
        "ECE_tempered": round(calibration_error(rest, index[~odd]), 4),
    }


def _codes(probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.asarray(probabilities.argmax(axis=1) + 1, dtype=np.int64)


def _method(key: str, city: CityGround, told: argparse.Namespace) -> Method:
    if key in VARIANTS:
        return _network(VARIANTS[key], registered(city), told)
    features, _ = city_features(city if key == "a" else registered(city))
    kind = "extra-trees" if key == "a3" else "random-forest"
    return partial(_forest, features=features, kind=kind, told=told)


def _forest(
    city: CityGround,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    *,
    features: NDArray[np.float32],
    kind: Any,
    told: argparse.Namespace,
) -> NDArray[np.float32]:
    known, unseen = (features[:, cells[:, 0], cells[:, 1]].T for cells in (train, test))
    trees = QUICK_TREES if told.quick else TREES
    return forest_probabilities(known, city.codes(train), unseen, kind=kind, seed=told.seed, trees=trees)


def _network(variant: str, moved: CityGround, told: argparse.Namespace) -> Method:
    """Bind the training of a network on a registered city to a fold; it needs torch, which forests do not."""
    try:
        training = importlib.import_module("models.training.folds")
    except ModuleNotFoundError as error:
        msg = f"networks need {error.name}: pip install 'cityzones[train]', or ask for --methods a,a2"
        raise MissingExtra(msg) from error
    epochs = QUICK_EPOCHS if told.quick else told.epochs

    def method(_city: CityGround, train: NDArray[np.int64], test: NDArray[np.int64]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = training.train_fold(
            moved, train, test, variant, device=told.device, seed=told.seed, epochs=epochs
        )
        return found

    return method


def _table(rows: list[dict[str, Any]]) -> Table:
    """Show the figures; their intervals are in the JSON, but that of the overall accuracy, which says enough here."""
    table = Table("method", "", *HEADS.values(), "OA, 95 %", "s")
    for row in rows:
        figures = ["-" if row[name] is None else f"{row[name]:.3f}" for name in HEADS]
        interval = "-".join(f"{end:.3f}" for end in row["intervals"]["overall_accuracy"])
        smooth = "3x3" if row["smoothed"] else ""
        table.add_row(f"({row['key']}) {row['method']}", smooth, *figures, interval, f"{row['seconds']:.0f}")
    return table


if __name__ == "__main__":
    main()
