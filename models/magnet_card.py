"""Write MAGNET's model card from the report of the run that trained it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from models.cards import Card, read_card
from models.data.procedural import BANDS

_CARD: Final = """\
# Written by `python -m models.export`, from the report of a training run of {seconds} s on {threads} CPU threads.
id = "magnet"
version = "1.0.0"
product = "local-climate-zones"
title = "MAGNET, reconstructed (procedural training)"
summary = "Two branches, spectral and building form, fused by how far each can be trusted; every 10 m pixel."
licence = "Apache-2.0"
training_data = "{cities} procedural cities of {side} x {side} pixels, seeds {first}-{last}; no real place."
training_command = "{command}"
citation = "A reconstruction of MAGNET from its description; class intervals after Stewart and Oke (2012)."
limits_told = [
    "This is a reconstruction of MAGNET from its description, not its authors' code or weights.",
    "It was trained on procedural cities only. Do not trust it on a real place until it is trained on real data.",
    "The accuracies are those on procedural cities it never saw. They say nothing about real cities.",
    "Without buildings its morphological branch is switched off, and compact, open and high-rise classes blur.",
]

[input]
bands = {bands}
resolution = 10.0
reflectance = "synthetic"
morphology = true

[geometry]
window = 32
step = 1
tile = 240
halo = 16
scene = 10

[serving]
model = "magnet"
precision = "f32"

[weights]
file = "magnet.onnx"
bundled = true

[domain]
median = {median}
iqr = {iqr}
"""


def write_card(report: Path, card: Path) -> Card:
    """Write the card of a training report to `card` and return it as read back; raises BadCard if it is not valid."""
    told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    run = told["config"]
    command = (
        f"python -m models.training --out DIR --seed {run['seed']} --steps {run['steps']} --threads {run['threads']}"
    )
    text = _CARD.format(
        seconds=told["seconds"], threads=run["threads"],
        cities=run["cities"], side=run["side"], first=1001, last=1000 + run["cities"], command=command,
        bands=json.dumps(list(BANDS)), median=told["domain"]["median"], iqr=told["domain"]["iqr"],
    )  # fmt: skip
    card.write_text(text + "".join(_row(row) for row in told["accuracy"]), encoding="utf-8")
    return read_card(card)


def _row(row: dict[str, Any]) -> str:
    metrics = ", ".join(f"{name} = {value}" for name, value in row["metrics"].items())
    return f'\n[[accuracy]]\ndata = "{row["data"]}"\nmethod = "{row["method"]}"\nmetrics = {{ {metrics} }}\n'
