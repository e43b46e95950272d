"""Fit MAGNET's temperature on procedural validation cities, measure it on a test city, and publish it if it helps."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.accuracy.calibration import (
    calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    tempered,
)
from models.cards import CARDS_DIR, read_card
from models.data.procedural import generate
from models.evaluation.procedural import inner, map_city
from models.export.graph import export_magnet, load_magnet
from models.networks.magnet import Magnet
from models.weights import BUNDLED_DIR

FITTED_ON: Final = (501, 502)
MEASURED_ON: Final = (1,)
SIDE: Final = 400
# Neighbours are nearly alike: a third of the pixels tells the same, sooner.
_EVERY: Final = 3

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def probabilities_of(network: Magnet, seeds: Sequence[int], *, buildings: bool) -> tuple[Floats, Integers]:
    """Map procedural cities; return every third pixel's probabilities (n, 17) and its true class index (n,)."""
    found, truth = [], []
    for seed in seeds:
        city = generate(seed, (SIDE, SIDE))
        form = city.morphology() if buildings else np.zeros((6, *city.shape), np.float32)
        mapped = map_city(network, city.reflectance, form).reshape(17, -1).T
        index = inner(city.truth).ravel().astype(np.int64) - 1
        known = index >= 0
        found.append(mapped[known][::_EVERY].astype(np.float64))
        truth.append(index[known][::_EVERY])
    return np.concatenate(found), np.concatenate(truth)


def measure(probabilities: Floats, index: Integers, temperature: float) -> dict[str, Any]:
    """Return calibration error and likelihood before and after tempering, and both reliability tables."""
    told: dict[str, Any] = {"samples": len(index)}
    for name, p in (("before", probabilities), ("after", tempered(probabilities, temperature))):
        table = reliability(p.max(axis=1), p.argmax(axis=1) == index)
        rows = [
            {"from": round(low, 3), "samples": int(n), "confidence": round(c, 4), "accuracy": round(a, 4)}
            for low, n, c, a in zip(table.edges, table.samples, table.confidence, table.accuracy, strict=False)
            if n
        ]
        error, likelihood = calibration_error(p, index), negative_log_likelihood(p, index)
        told[name] = {"ECE": round(error, 4), "NLL": round(likelihood, 4), "reliability": rows}
    return told


def recalibrate(checkpoint: Path) -> dict[str, Any]:
    """Fit a temperature on validation cities and measure it on a test city, with its buildings and without."""
    network = load_magnet(checkpoint)
    temperature = fit_temperature(*probabilities_of(network, FITTED_ON, buildings=True))
    report: dict[str, Any] = {"temperature": temperature, "fitted_on": FITTED_ON, "measured_on": MEASURED_ON}
    for name, buildings in (("with_buildings", True), ("without_buildings", False)):
        report[name] = measure(*probabilities_of(network, MEASURED_ON, buildings=buildings), temperature)
    held = report["with_buildings"]
    report["helps"] = held["after"]["ECE"] < held["before"]["ECE"] and held["after"]["NLL"] < held["before"]["NLL"]
    return report


def publish(temperature: float, checkpoint: Path, card: Path) -> None:
    """Export the weights again with a temperature, and write it into the card's [serving]; raises BadCard."""
    export_magnet(checkpoint, checkpoint.parent, temperature=temperature)
    text = re.sub(r"(?m)^temperature = .*\n", "", card.read_text(encoding="utf-8"))
    line = f"temperature = {temperature}\n"
    card.write_text(re.sub(r"(?m)^(precision = .*\n)", rf"\g<1>{line}", text), encoding="utf-8")
    read_card(card)


def main() -> None:
    """Run `python -m models.evaluation.recalibration [--publish]`; the report is JSON, with reliability tables."""
    parser = argparse.ArgumentParser(description="Fit, measure and publish MAGNET's temperature.")
    parser.add_argument("--publish", action="store_true", help="export and write the card, if it helps")
    parser.add_argument("--weights", type=Path, default=BUNDLED_DIR / "magnet.safetensors")
    parser.add_argument("--card", type=Path, default=CARDS_DIR / "magnet.toml")
    given = parser.parse_args()
    report = recalibrate(given.weights)
    if given.publish and report["helps"]:
        publish(report["temperature"], given.weights, given.card)
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
