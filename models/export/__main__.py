"""Publishes a training run's weights and card: `python -m models.export DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path

from models.cards import CARDS_DIR
from models.export.card import write_card
from models.export.graph import export_magnet
from models.weights import BUNDLED_DIR


def main() -> None:
    """Write the graph, the weights beside it and the card of the run that the arguments name."""
    parser = argparse.ArgumentParser(description="Publish the weights and the card of a training run.")
    parser.add_argument("run", type=Path, help="the folder `python -m models.training --out` wrote")
    parser.add_argument("--weights", type=Path, default=BUNDLED_DIR)
    parser.add_argument("--card", type=Path, default=CARDS_DIR / "magnet.toml")
    given = parser.parse_args()
    export_magnet(given.run / "magnet.safetensors", given.weights)
    write_card(given.run / "report.json", given.card)


if __name__ == "__main__":
    main()
