"""Write the model card of a network from the report of the run that trained it; tell in it what is measured later."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol

from models.cards import Card, read_card
from models.data.procedural import BANDS
from models.errors import BadCard

_CARD: Final = """\
# {written}
id = {id}
version = "1.0.0"
product = "local-climate-zones"
title = {title}
summary = {summary}
licence = "Apache-2.0"
training_data = {training_data}
training_command = {training_command}
citation = "A reconstruction of MAGNET from its description; class intervals after Stewart and Oke (2012)."
limits_told = [
{limits_told}]

[input]
bands = {bands}
resolution = 10.0
reflectance = {reflectance}
morphology = {morphology}

[geometry]
window = {window}
step = 1
tile = 240
halo = {halo}
scene = 10

[serving]
model = {id}
precision = "f32"
{temperature}extras = {extras}

[weights]
file = {file}
bundled = true
{scene_graph}
[domain]
median = {median}
iqr = {iqr}
"""
# The demonstration network's graph that answers once a scene cell: a window of 32 pixels, every ten of them.
_SCENES: Final = """
[scene_graph]
model = "magnet_scenes"
file = "magnet-scenes.onnx"
halo = 11
tile = 240
"""
_ROW: Final = "\n[[accuracy]]\n"
_RECONSTRUCTION: Final = "This is a reconstruction of MAGNET from its description, not its authors' code or weights."
_NOTHING_HELD: Final = (
    "Its run held nothing back: accuracies are those of networks trained alike on part of the ground, on the rest."
)
_TITLES: Final = {
    "magnet": ("MAGNET, reconstructed", "Two branches, spectral and building form, fused by how far each is trusted."),
    "late-concatenation": ("Late concatenation", "Two branches, spectral and building form, side by side."),
    "spectral-only": ("Spectral branch", "One branch, of reflectance alone."),
    "neighbourhood-magnet": (
        "MAGNET over window moments, reconstructed",
        "Spectral and building moments of 100 m windows and their neighbours, fused by how far each is trusted.",
    ),
    "neighbourhood-late-concatenation": (
        "Late concatenation of window moments",
        "Spectral and building moments of 100 m windows and their neighbours, side by side.",
    ),
    "neighbourhood-spectral-only": (
        "Spectral branch of window moments",
        "Moments of reflectance of 100 m windows and their neighbours.",
    ),
}
_LIMITS: Final = {
    "procedural": "It was trained on procedural cities only. Do not trust it on a real place.",
    "city": "It was trained on one map of few cities; expect less elsewhere.",
    "so2sat": "It learnt So2Sat's labels of 100 m; imagery must be top-of-atmosphere, as So2Sat's is.",
}


class LearntData(Protocol):
    """What a card says of the data a network learnt from."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        ...

    @property
    def reflectance(self) -> str:
        """What reflectance it is, as a card's input says."""
        ...

    @property
    def told(self) -> str:
        """What the data are."""
        ...


def write_card(report: Path, card: Path, *, temperature: float, measured: Iterable[dict[str, Any]]) -> Card:
    """Write the bundled network's card, from the report of the demonstration run, and return it as read back.

    `temperature` is what its graph divides logits by; `measured` are rows beside the report's own, each of `data`,
    `method` and `metrics`. Raises BadCard if the card is not valid.
    """
    told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    run = told["config"]
    options = f"--seed {run['seed']} --steps {run['steps']} --threads {run['threads']}"
    seeds = f"seeds 1001-{1000 + run['cities']}; no real place."
    facts = {
        "id": "magnet",
        "title": "MAGNET, reconstructed (procedural training)",
        "summary": "Two branches, spectral and building form, fused by how far each can be trusted; every 10 m pixel.",
        "training_data": f"{run['cities']} procedural cities of {run['side']} x {run['side']} pixels, {seeds}",
        "training_command": f"python -m models.training --out DIR {options}",
        "bands": BANDS,
        "reflectance": "synthetic",
        "morphology": True,
        "extras": ["morphology_weight"],
        "window": 32,
    }
    limits = [
        _RECONSTRUCTION,
        "It was trained on procedural cities only. Do not trust it on a real place until it is trained on real data.",
        "The accuracies are those on procedural cities it never saw. They say nothing about real cities.",
        "Without buildings its morphological branch is switched off, and compact, open and high-rise classes blur.",
    ]
    ran = f"a training run of {told['seconds']} s on {run['threads']} CPU threads"
    told["accuracy"] = [*told["accuracy"], *measured]
    written = f"Written by `python -m models.training.publish`, from the report of {ran}."
    return _write(card, told, facts, limits, written, temperature=temperature, scene_graph=_SCENES)


def write_run_card(report: dict[str, Any], data: LearntData, card: Path, *, command: str, morphology: bool) -> Card:
    """Write the card of a run beside its ONNX file and return it as read back; raises BadCard if it is not valid.

    Copied into models/cards, with the ONNX file into models/weights, it makes the model one that can be asked for.
    """
    variant, kind = report["run"]["model"]["variant"], report["run"]["data"]["kind"]
    title, summary = _TITLES[variant]
    facts = {
        "id": card.stem,
        "title": f"{title} ({kind} training)",
        "summary": summary,
        "training_data": data.told,
        "training_command": command,
        "bands": data.bands,
        "reflectance": data.reflectance,
        "morphology": morphology,
        "extras": ["morphology_weight"] if morphology and variant.endswith("magnet") else [],
        "window": report["window"],
    }
    held = "The accuracies are those of the rows below, on what the run held back."
    limits = [_LIMITS[kind], held if report["accuracy"] else _NOTHING_HELD]
    if variant.endswith("magnet"):
        limits.insert(0, _RECONSTRUCTION)
    if not morphology:
        limits.append("It knows no buildings: compact, open and high-rise classes blur.")
    ran = f"a training run of {report['seconds']} s on {report['device']}"
    return _write(card, report, facts, limits, f"Written at the end of {ran}.")


def update_card(card: Path, temperature: float, rows: list[dict[str, Any]]) -> Card:
    """Write a temperature and rows into a card there is, instead of its own and of its rows of the same metrics.

    All else stays as it is, to the byte. Returns the card as read back; raises BadCard, and leaves the card alone,
    where it is not valid or has no line `precision` for the temperature to follow.
    """
    read_card(card)
    head, *there = card.read_text(encoding="utf-8").split(_ROW)
    measured = {name for row in rows for name in row["metrics"]}
    kept = [row for row in there if measured.isdisjoint(tomllib.loads(row).get("metrics", ()))]
    head = re.sub(r"(?m)^temperature = .*\n", "", head)
    head = re.sub(r"(?m)^precision = .*\n", lambda found: found[0] + _temperature(temperature), head)
    scratch = card.with_name(f".{card.name}.new")
    try:
        scratch.write_text("".join([_ROW.join([head, *kept]), *map(row_of, rows)]), encoding="utf-8")
        written = read_card(scratch)
        if written.serving.temperature != temperature:
            raise BadCard(f"{card.name} has no line `precision` in [serving]; write one")
        scratch.replace(card)
    finally:
        scratch.unlink(missing_ok=True)
    return written


def _write(
    card: Path,
    report: dict[str, Any],
    facts: dict[str, Any],
    limits: list[str],
    written: str,
    *,
    temperature: float = 1.0,
    scene_graph: str = "",
) -> Card:
    values = facts | report["domain"] | {"file": f"{facts['id']}.onnx", "halo": facts["window"] // 2}
    text = _CARD.format(
        written=written,
        temperature=_temperature(temperature),
        scene_graph=scene_graph,
        limits_told="".join(f"    {toml_of(limit)},\n" for limit in limits),
        **{name: toml_of(value) for name, value in values.items()},
    )
    card.write_text(text + _units(card) + "".join(row_of(row) for row in report["accuracy"]), encoding="utf-8")
    return read_card(card)


def _units(card: Path) -> str:
    """Return the unit thresholds that a card there is was fitted to, with the comment above them; fit them again."""
    blocks = card.read_text(encoding="utf-8").split("\n\n") if card.is_file() else []
    fitted = next((block for block in blocks if "[units]" in block.splitlines()), None)
    return "" if fitted is None else f"\n{fitted}\n"


def _temperature(value: float) -> str:
    """Return the line of a temperature; a card without one says 1."""
    return "" if value == 1 else f"temperature = {value}\n"


def toml_of(value: Any) -> str:
    """Return a string, boolean or list as TOML: as JSON, which escapes what TOML does but one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def row_of(row: dict[str, Any]) -> str:
    """Return a row of the accuracy table, of `data`, `method` and `metrics`, as TOML."""
    metrics = ", ".join(f"{name} = {value}" for name, value in row["metrics"].items())
    return f"{_ROW}data = {toml_of(row['data'])}\nmethod = {toml_of(row['method'])}\nmetrics = {{ {metrics} }}\n"
