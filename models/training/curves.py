"""Draws the learning curves of a run as a picture."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

SHOWN: Final = {"validation_OA": "overall accuracy", "validation_AA": "average accuracy", "validation_OA_u": "urban"}


def draw_curves(history: list[dict[str, float]], title: str, path: Path) -> None:
    """Draw loss and learning rate, and below them the accuracies on ground held back, into a PNG at `path`."""
    with mpl.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(7.5, 6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        steps, losses, rates = _columns(history, "step", "loss", "rate")
        upper.plot(steps, losses, color="#1f4e79", linewidth=1.2, label="training loss")
        upper.set(ylabel="loss", title=title)
        beside = upper.twinx()
        beside.plot(steps, rates, color="#b06000", linewidth=0.8, linestyle=":", label="learning rate")
        beside.set_ylabel("learning rate")
        beside.grid(visible=False)
        upper.legend(handles=[*upper.lines, *beside.lines], loc="upper right")
        for key, label in SHOWN.items():
            at, values = _columns(history, "step", key)
            lower.plot(at, values, marker="o", markersize=3, linewidth=1.2, label=label)
        lower.set(xlabel="step", ylabel="accuracy, held back", ylim=(0, 1))
        lower.legend(loc="lower right")
        scratch = path.with_name(f".{secrets.token_hex(4)}.png")
        figure.savefig(scratch, dpi=120, metadata={"Software": None})
    scratch.replace(path)


def _columns(history: list[dict[str, float]], *keys: str) -> list[list[float]]:
    rows = [row for row in history if all(key in row for key in keys)]
    return [[row[key] for row in rows] for key in keys]
