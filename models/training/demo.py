"""Train the demonstration network again and hold its accuracy against that of the bundled weights' card."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from models.cards import Card, card_of
from models.errors import CityzonesError
from models.training.config import RunConfig, check
from models.training.runs import NAMES, run

NEAR: Final = 0.01
"""A run again may differ by a point: other processors round otherwise."""


def demo_config(folder: Path, *, threads: int = 2, resume: bool = False) -> RunConfig:
    """Return the run whose weights are bundled as `magnet`, into a folder of one's own."""
    training = {"threads": threads, "device": "cpu", "resume": resume}
    told = {"data": {"kind": "procedural"}, "training": training, "output": {"folder": folder, "card": "magnet"}}
    return check(told, "the demonstration run")


def compared(report: dict[str, Any], card: Card) -> dict[str, Any]:
    """Return the overall accuracies of a run beside those of a card, with and without buildings, and `reproduced`."""
    found = {(row["data"], row["method"]): row["metrics"].get("OA") for row in report["accuracy"]}
    told = {(score.data, score.method): score.metrics["OA"] for score in card.accuracy if "OA" in score.metrics}
    method = NAMES["magnet"]
    rows: dict[str, dict[str, float]] = {}
    for name, suffix in (("with_buildings", ""), ("without_buildings", ", no buildings")):
        key = next(key for key in told if key[1] == method + suffix)
        rows[name] = {"card": told[key], "run": found[key], "difference": round(found[key] - told[key], 4)}
    return rows | {"seconds": report["seconds"], "reproduced": all(abs(r["difference"]) <= NEAR for r in rows.values())}


def main() -> None:
    """Run `python -m models.training.demo --out DIR`; the last line is JSON, the status 1 if it is not reproduced."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true", help="go on where the run was stopped")
    given = parser.parse_args()
    try:
        config = demo_config(given.out, threads=given.threads, resume=given.resume)
        told = compared(run(config, "python -m models.training.demo --out DIR"), card_of("magnet"))
    except CityzonesError as error:
        sys.exit(error.detail)
    sys.stdout.write(json.dumps(told) + "\n")
    sys.exit(not told["reproduced"])


if __name__ == "__main__":
    main()
