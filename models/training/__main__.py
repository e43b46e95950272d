"""Makes the demonstration run, that of the bundled weights: `python -m models.training --out DIR`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from models.training.runs import TrainingConfig, train


def main() -> None:
    """Train as the arguments say and print the report's seconds and accuracies."""
    parser = argparse.ArgumentParser(description="Train MAGNET on procedural cities: the run of the bundled weights.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights and the report")
    usual = TrainingConfig(Path())
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--threads", type=int, default=usual.threads)
    given = parser.parse_args()
    report = train(TrainingConfig(given.out, seed=given.seed, steps=given.steps, threads=given.threads))
    print(json.dumps({"seconds": report["seconds"], "accuracy": report["accuracy"]}, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
