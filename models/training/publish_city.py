"""Publishes a city's run with the figures its folds measured: `python -m models.training.publish_city RUN TABLE`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from models.cards import CARDS_DIR
from models.data.cities.ground import CityGround, read_city, registered
from models.errors import CityzonesError
from models.export.card import update_card
from models.export.graph import export_network
from models.networks.weights import load_weights
from models.training.config import BadTraining, RunConfig, check
from models.training.folders import REPORT
from models.training.folds import map_cells
from models.weights import BUNDLED_DIR

_NAMES: Final = {
    "overall_accuracy": "OA", "average_accuracy": "AA", "kappa": "kappa", "macro_f1_100": "macro_F1",
    "oa_weighted": "OA_w", "oa_urban": "OA_u", "oa_urban_strict": "OA_u_strict", "oa_built": "OA_bu",
}  # fmt: skip


def publish(run: Path, table: dict[str, Any], city: CityGround, weights: Path, cards: Path) -> None:
    """Write a run's graph and weights into the folder `weights`, and its card with rows of the `table` into `cards`.

    `run` is the folder `cityzones models train` wrote, `table` what `benchmarks.accuracy` printed of networks trained
    alike on folds of `city`: the rows of the card are its own. The temperature is that fitted on the cells no network
    had learnt if it lowers their calibration error, and how often bfloat16 gives the same class is counted on the
    city. Raises BadTraining or WeightsUnavailable before anything is written, KeyError for another table.
    """
    config = _config(run)
    name, key = config.output.card, "d" if config.feedback else "e"
    measured = table["calibration"][key]
    network = load_weights(run / f"{name}.safetensors")
    helps = measured["ECE_tempered"] < measured["ECE"]
    temperature = measured["temperature"] if helps else 1.0
    rows = [*_rows(table), *_calibration(table["data"], measured, helps=helps)]
    agreement = {"argmax_agreement": _agreement(network, city, config)}
    rows.append({"data": f"{city.name}, all known cells", "method": "bfloat16 against float32", "metrics": agreement})
    export_network(network, weights / f"{name}.onnx", temperature=temperature)
    shutil.copyfile(run / f"{name}.safetensors", weights / f"{name}.safetensors")
    card = cards / f"{name}.toml"
    shutil.copyfile(run / f"{name}.toml", card)
    update_card(card, temperature, rows)


def _config(run: Path) -> RunConfig:
    try:
        told = json.loads((run / REPORT).read_text(encoding="utf-8"))["run"]
        found = check(told | {"output": told["output"] | {"folder": str(run)}}, str(run / REPORT))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadTraining(f"{run} holds no {REPORT} of a run; make it: cityzones models train CONFIG.toml") from error
    if found.data.kind != "city":
        raise BadTraining(f"{run} is a run on {found.data.kind} data; this command publishes those on a city")
    return found


def _rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every method's row: of forests as smoothed, which they gain by, of networks as they are."""
    return [
        {
            "data": table["data"],
            "method": row["method"] + (", smoothed" if row["smoothed"] else ""),
            "metrics": {short: row[name] for name, short in _NAMES.items() if row[name] is not None},
        }
        for row in table["rows"]
        if row["smoothed"] == row["key"].startswith("a")
    ]


def _calibration(data: str, measured: dict[str, float], *, helps: bool) -> list[dict[str, Any]]:
    plain = {"data": data, "method": "as trained (temperature 1)", "metrics": {"ECE": measured["ECE"]}}
    fitted = f"temperature {measured['temperature']}, fitted on the other half of the square kilometres"
    return [{"data": data, "method": fitted, "metrics": {"ECE": measured["ECE_tempered"]}}, plain] if helps else [plain]


def _agreement(network: Any, city: CityGround, config: RunConfig) -> float:
    """Return the share of known cells whose class is the same in bfloat16 as in float32."""
    classes = []
    for precision in ("bf16", "f32"):
        training = config.training.model_copy(update={"precision": precision})
        layers = map_cells(network, registered(city), config.model_copy(update={"training": training}))
        classes.append(layers.argmax(axis=0)[city.known])
    return round(float(np.mean(classes[0] == classes[1])), 4)


def main() -> None:
    """Publish the run and table the arguments name."""
    parser = argparse.ArgumentParser(description="Publish a run on a city with what its folds measured.")
    parser.add_argument("run", type=Path, help="the folder `cityzones models train` wrote")
    parser.add_argument("table", type=Path, help="what `python -m benchmarks.accuracy` printed: its last line is read")
    parser.add_argument("--city", type=Path, required=True, help="folder of the city")
    parser.add_argument("--weights", type=Path, default=BUNDLED_DIR)
    parser.add_argument("--cards", type=Path, default=CARDS_DIR)
    given = parser.parse_args()
    try:
        table = json.loads(given.table.read_text(encoding="utf-8").strip().splitlines()[-1])
        publish(given.run, table, read_city(given.city), given.weights, given.cards)
    except KeyError as error:
        sys.exit(f"{given.table} is not the table of this run: it has no {error}; make it with benchmarks.accuracy")
    except (CityzonesError, OSError, ValueError, IndexError) as error:
        sys.exit(getattr(error, "detail", str(error)))


if __name__ == "__main__":
    main()
