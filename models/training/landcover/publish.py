"""Publishes a run on tiles with what its folds measured: `python -m models.training.landcover.publish RUN TABLE`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from models.cards import CARDS_DIR, Card
from models.errors import CityzonesError
from models.export.card import update_card
from models.export.graph import COVER, export_cover
from models.networks.weights import load_cover
from models.training.config import BadTraining
from models.training.folders import REPORT
from models.weights import BUNDLED_DIR


def publish(run: Path, table: dict[str, Any], weights: Path, cards: Path) -> Card:
    """Write a run's graph and weights into the folder `weights`, and its card with rows of the `table` into `cards`.

    `run` is the folder `cityzones models train` wrote, `table` what `benchmarks.landcover` printed of folds. The graph
    divides by their temperature if that lowers the calibration error of folds it was not fitted on. Raises
    BadTraining or WeightsUnavailable before anything is written, KeyError for another table.
    """
    name = _name(run)
    measured = table["calibration"]
    helps = measured["ECE_tempered"] < measured["ECE"]
    temperature = measured["temperature"] if helps else 1.0
    rows = [*_rows(table), *_calibration(table, temperature)]
    network = load_cover(run / f"{name}.safetensors")
    export_cover(network, weights / f"{name}.onnx", COVER, temperature=temperature)
    shutil.copyfile(run / f"{name}.safetensors", weights / f"{name}.safetensors")
    shutil.copyfile(run / f"{name}.toml", cards / f"{name}.toml")
    return update_card(cards / f"{name}.toml", temperature, rows)


def _name(run: Path) -> str:
    try:
        told = json.loads((run / REPORT).read_text(encoding="utf-8"))["run"]
        kind, name = told["data"]["kind"], str(told["output"]["card"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadTraining(f"{run} holds no {REPORT} of a run; make it: cityzones models train CONFIG.toml") from error
    if kind != "tiles":
        raise BadTraining(f"{run} is a run on {kind} data; this command publishes those on tiles")
    return name


def _rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every method's row, of all folds together."""
    return [
        {
            "data": _data(table),
            "method": row["method"],
            "metrics": {
                "mIoU": row["mean_iou"],
                "OA": row["overall_accuracy"],
                **{f"IoU_{label}": value for label, value in row["iou"].items()},
            },
        }
        for row in table["rows"]
    ]


def _calibration(table: dict[str, Any], temperature: float) -> list[dict[str, Any]]:
    measured = table["calibration"]
    told = [("as trained (temperature 1)", measured["ECE"])]
    if temperature != 1:
        told.insert(0, (f"temperature {temperature}; each fold with that of the others", measured["ECE_tempered"]))
    return [{"data": _data(table), "method": method, "metrics": {"ECE": value}} for method, value in told]


def _data(table: dict[str, Any]) -> str:
    folds = "; ".join(", ".join(fold) for fold in table["folds"])
    measured = f"{table['steps']} steps, every {table['stride']}th row and column"
    return f"{table['folder']}: held out in turn {folds}; {measured}"


def main() -> None:
    """Publish the run and table the arguments name."""
    parser = argparse.ArgumentParser(description="Publish a run on tiles with what its folds measured.")
    parser.add_argument("run", type=Path, help="the folder `cityzones models train` wrote")
    parser.add_argument("table", type=Path, help="what `python -m benchmarks.landcover` printed: its last line is read")
    parser.add_argument("--weights", type=Path, default=BUNDLED_DIR)
    parser.add_argument("--cards", type=Path, default=CARDS_DIR)
    given = parser.parse_args()
    try:
        table = json.loads(given.table.read_text(encoding="utf-8").strip().splitlines()[-1])
        publish(given.run, table, given.weights, given.cards)
    except KeyError as error:
        sys.exit(f"{given.table} is no table of folds: it has no {error}; make it with benchmarks.landcover")
    except (CityzonesError, OSError, ValueError, IndexError) as error:
        sys.exit(getattr(error, "detail", str(error)))


if __name__ == "__main__":
    main()
