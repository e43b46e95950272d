"""The folder a run writes into: its files by name, and what is refused before anything is computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from models.training.config import BadTraining, OutputSection
from models.training.loop import CHECKPOINT as RESUMED

REPORT: Final = "report.json"
HISTORY: Final = "history.json"
CURVES: Final = "curves.png"


def make_folder(folder: Path) -> None:
    """Make the folder of a run, and clear what a killed one left half written; raises BadTraining where it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"output.folder {folder} cannot be made: {error.strerror}"
        raise BadTraining(msg) from error
    for stale in folder.glob(f".{RESUMED}.*"):  # of a run that was killed while it wrote
        stale.unlink(missing_ok=True)


def refuse_overwriting(output: OutputSection, *, resume: bool) -> None:
    """Raise BadTraining where the output folder holds a run that is not to be resumed, or is none."""
    folder, name = output.folder, output.card
    if folder.exists() and not folder.is_dir():
        msg = f"output.folder names {folder}, which is a file"
        raise BadTraining(msg)
    names = (RESUMED, REPORT, HISTORY, CURVES, f"{name}.toml", f"{name}.onnx", f"{name}.safetensors")
    found = [told for told in names if (folder / told).exists()]
    if found and not resume:
        msg = f"{folder} holds a run already ({', '.join(found)}); set training.resume = true, or name another folder"
        raise BadTraining(msg)
    if found and RESUMED not in found:
        msg = f"{folder} holds {', '.join(found)} but no {RESUMED} to resume from; name another folder"
        raise BadTraining(msg)


def write_json(path: Path, told: Any) -> None:
    """Write what JSON can hold into a file."""
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
