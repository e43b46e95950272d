"""Publishes the demonstration run as the bundled network: `python -m models.training.publish DIR`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from models.cards import CARDS_DIR
from models.errors import CityzonesError
from models.evaluation.recalibration import card_rows, recalibrate, served_temperature
from models.export.card import write_card
from models.export.graph import export_magnet
from models.training.config import BadTraining
from models.training.folders import REPORT
from models.training.runs import CHECKPOINT
from models.weights import BUNDLED_DIR


def publish(run: Path, weights: Path, card: Path) -> dict[str, Any]:
    """Fit a run's temperature, export its graph with it into the folder `weights`, and write its card.

    `run` is the folder `python -m models.training --out` wrote. The card's rows are those of the run's report, then
    calibration and agreement of bfloat16 as measured here. Returns the report of `recalibrate`. Raises BadTraining
    before anything is computed where the folder holds no such run, WeightsUnavailable or BadCard.
    """
    _check(run)
    report = recalibrate(run / CHECKPOINT)
    temperature = served_temperature(report)
    export_magnet(run / CHECKPOINT, weights, temperature=temperature)
    write_card(run / REPORT, card, temperature=temperature, measured=card_rows(report))
    return report


def _check(run: Path) -> None:
    """Raise BadTraining where a folder does not hold the report of a demonstration run."""
    try:
        told = json.loads((run / REPORT).read_text(encoding="utf-8"))
        told["config"], told["accuracy"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{run} holds no {REPORT} of the demonstration run; make it: python -m models.training --out {run}"
        raise BadTraining(msg) from error


def main() -> None:
    """Write the graph, the weights beside it and the card of the run that the arguments name."""
    parser = argparse.ArgumentParser(description="Calibrate, measure and publish the demonstration run.")
    parser.add_argument("run", type=Path, help="the folder `python -m models.training --out` wrote")
    parser.add_argument("--weights", type=Path, default=BUNDLED_DIR)
    parser.add_argument("--card", type=Path, default=CARDS_DIR / "magnet.toml")
    given = parser.parse_args()
    try:
        report = publish(given.run, given.weights, given.card)
    except CityzonesError as error:
        sys.exit(error.detail)
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
