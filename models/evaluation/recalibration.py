"""Fit MAGNET's temperature on validation cities, measure it and bfloat16 on a test city, and publish what helps."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
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
from models.errors import CityzonesError
from models.evaluation.procedural import inner, map_city
from models.export.card import update_card
from models.export.graph import export_magnet, load_magnet
from models.networks.magnet import Magnet
from models.weights import BUNDLED_DIR

FITTED_ON: Final = (501, 502)
MEASURED_ON: Final = (1,)
SIDE: Final = 400
# Neighbours are nearly alike: a third of the pixels tells the same, sooner.
_EVERY: Final = 3
_METHOD: Final = "MAGNET (reconstruction)"

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


def argmax_agreement(network: Magnet, seeds: Sequence[int]) -> float:
    """Return the share of pixels of procedural cities whose class is the same in bfloat16 as in float32.

    bfloat16 is torch's mixed precision: convolutions are computed in it, priors and probabilities are not.
    """
    same = []
    for seed in seeds:
        city = generate(seed, (SIDE, SIDE))
        form = city.morphology()
        plain = map_city(network, city.reflectance, form).argmax(axis=0)
        with _bfloat16(network):
            same.append(map_city(network, city.reflectance, form).argmax(axis=0) == plain)
    return float(np.mean(same))


@contextmanager
def _bfloat16(network: Magnet) -> Iterator[None]:
    """Compute in bfloat16 while this lasts, up to the logits: as bfloat16, probabilities of two classes would tie."""
    hook = network.classify.register_forward_hook(lambda _module, _inputs, logits: logits.float())
    try:
        with torch.autocast("cpu", torch.bfloat16):
            yield
    finally:
        hook.remove()


def recalibrate(checkpoint: Path) -> dict[str, Any]:
    """Fit a temperature on validation cities and measure it on a test city, with its buildings and without.

    The report also holds `argmax_agreement`, see there, and `helps`: whether the temperature mends both calibration
    error and likelihood of the city with its buildings. Raises WeightsUnavailable.
    """
    network = load_magnet(checkpoint)
    temperature = fit_temperature(*probabilities_of(network, FITTED_ON, buildings=True))
    report: dict[str, Any] = {"temperature": temperature, "fitted_on": FITTED_ON, "measured_on": MEASURED_ON}
    for name, buildings in (("with_buildings", True), ("without_buildings", False)):
        report[name] = measure(*probabilities_of(network, MEASURED_ON, buildings=buildings), temperature)
    report["argmax_agreement"] = round(argmax_agreement(network, MEASURED_ON), 4)
    held = report["with_buildings"]
    report["helps"] = held["after"]["ECE"] < held["before"]["ECE"] and held["after"]["NLL"] < held["before"]["NLL"]
    return report


def served_temperature(report: dict[str, Any]) -> float:
    """Return the temperature to serve with: the one fitted if it helps, else 1."""
    return float(report["temperature"]) if report["helps"] else 1.0


def card_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows a card has of a report: calibration error as served and as trained, and agreement of bfloat16."""
    city = f"procedural city, seed {MEASURED_ON[0]} (held out)"
    fitted = f"temperature {report['temperature']} fitted on seeds {FITTED_ON[0]}-{FITTED_ON[-1]}"
    told = [
        ("every third pixel", fitted, {"ECE": report["with_buildings"]["after"]["ECE"]}),
        ("every third pixel", "as trained (temperature 1)", {"ECE": report["with_buildings"]["before"]["ECE"]}),
        ("every pixel", "bfloat16 against float32 (torch autocast)", {"argmax_agreement": report["argmax_agreement"]}),
    ]
    return [
        {"data": f"{city}, {pixels}", "method": f"{_METHOD}, {how}", "metrics": metrics}
        for pixels, how, metrics in (told if report["helps"] else told[1:])
    ]


def publish(report: dict[str, Any], checkpoint: Path, card: Path) -> None:
    """Write what a report tells into a card, and export the weights again as warm as it says; raises BadCard."""
    update_card(card, served_temperature(report), card_rows(report))
    export_magnet(checkpoint, checkpoint.parent, temperature=served_temperature(report))


def main() -> None:
    """Run `python -m models.evaluation.recalibration [--publish]`; the report is JSON, with reliability tables."""
    parser = argparse.ArgumentParser(description="Fit, measure and publish the temperature of weights that are there.")
    parser.add_argument("--publish", action="store_true", help="write temperature and figures into graph and card")
    parser.add_argument("--weights", type=Path, default=BUNDLED_DIR / "magnet.safetensors")
    parser.add_argument("--card", type=Path, default=CARDS_DIR / "magnet.toml")
    given = parser.parse_args()
    try:
        read_card(given.card)
        report = recalibrate(given.weights)
        if given.publish:
            publish(report, given.weights, given.card)
    except CityzonesError as error:
        sys.exit(error.detail)
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
