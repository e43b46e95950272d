"""Write the model card of a network from the report of the run that trained it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from models.cards import Card, read_card
from models.data.procedural import BANDS
from models.training_sources import TrainingSource

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
extras = ["morphology_weight"]

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


_RUN_CARD: Final = """\
# Written at the end of a training run of {seconds} s on {device}.
id = {id}
version = "1.0.0"
product = "local-climate-zones"
title = {title}
summary = {summary}
licence = "Apache-2.0"
training_data = {told}
training_command = {command}
citation = "A reconstruction of MAGNET from its description; class intervals after Stewart and Oke (2012)."
limits_told = [
{limits}]

[input]
bands = {bands}
resolution = 10.0
reflectance = {reflectance}
morphology = {morphology}

[geometry]
window = 32
step = 1
tile = 240
halo = 16
scene = 10

[serving]
model = {id}
precision = "f32"
extras = {extras}

[weights]
file = {file}
bundled = true

[domain]
median = {median}
iqr = {iqr}
"""
_TITLES: Final = {
    "magnet": ("MAGNET, reconstructed", "Two branches, spectral and building form, fused by how far each is trusted."),
    "late-concatenation": ("Late concatenation", "Two branches, spectral and building form, side by side."),
    "spectral-only": ("Spectral branch", "One branch, of reflectance alone."),
}
_LIMITS: Final = {
    "procedural": "It was trained on procedural cities only. Do not trust it on a real place.",
    "city": "It was trained on one map of few cities; expect less elsewhere.",
    "so2sat": "It learnt So2Sat's labels of 100 m; imagery must be top-of-atmosphere, as So2Sat's is.",
}


def write_run_card(
    report: dict[str, Any], source: TrainingSource, card: Path, *, command: str, morphology: bool
) -> Card:
    """Write the card of a run beside its ONNX file and return it as read back; raises BadCard if it is not valid.

    Copied into models/cards, with the ONNX file into models/weights, it makes the model one that can be asked for.
    """
    run = report["run"]
    title, summary = _TITLES[run["model"]["variant"]]
    limits = [_LIMITS[run["data"]["kind"]], "The accuracies are those of the rows below, on what the run held back."]
    if run["model"]["variant"] == "magnet":
        limits.insert(0, "This is a reconstruction of MAGNET from its description, not its authors' code or weights.")
    if not morphology:
        limits.append("It knows no buildings: compact, open and high-rise classes blur.")
    text = _RUN_CARD.format(
        seconds=report["seconds"], device=report["device"], id=_text(card.stem),
        title=_text(f"{title} ({run['data']['kind']} training)"), summary=_text(summary), told=_text(source.told),
        command=_text(command), limits="".join(f"    {_text(limit)},\n" for limit in limits),
        bands=json.dumps(list(source.bands)), reflectance=_text(source.reflectance), morphology=str(morphology).lower(),
        file=_text(f"{card.stem}.onnx"),
        extras=json.dumps(["morphology_weight"] if morphology and run["model"]["variant"] == "magnet" else []),
        median=report["domain"]["median"], iqr=report["domain"]["iqr"],
    )  # fmt: skip
    card.write_text(text + "".join(_row(row) for row in report["accuracy"]), encoding="utf-8")
    return read_card(card)


def _text(told: str) -> str:
    """Return a TOML string: JSON's, which escapes what TOML does."""
    return json.dumps(told, ensure_ascii=False).replace("\x7f", "\\u007f")


def _row(row: dict[str, Any]) -> str:
    metrics = ", ".join(f"{name} = {value}" for name, value in row["metrics"].items())
    return f"\n[[accuracy]]\ndata = {_text(row['data'])}\nmethod = {_text(row['method'])}\nmetrics = {{ {metrics} }}\n"
