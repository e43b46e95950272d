"""Draws a sheet of sample patches for every Local Climate Zone of a So2Sat file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from models.classes import LOCAL_CLIMATE_ZONES, MapClass
from models.data.so2sat.dataset import BANDS, CITATION, LICENCE, BadDataset, So2SatFile
from models.data.so2sat.export import replacing

LARGEST: Final = 24
_BRIGHTEST: Final = 0.30
"""Reflectance shown as white: bright roofs reach it, vegetation stays below a third of it."""
_GAMMA: Final = 1.6


def draw_samples(source: Path, target: Path, *, columns: int = 8, seed: int = 0) -> dict[str, int]:
    """Write a PNG with `columns` patches of each class in true colour, drawn with `seed`; return patches a class.

    A class without patches keeps its empty row. Everything is read before the target is touched. Raises BadDataset.
    """
    if not 1 <= columns <= LARGEST:
        msg = f"a sheet has 1 to {LARGEST} columns, not {columns}"
        raise BadDataset(msg)
    draw = np.random.default_rng(seed)
    with So2SatFile(source) as file:
        codes = file.codes()
        chosen = {c.code: _choose(np.flatnonzero(codes == c.code), columns, draw) for c in LOCAL_CLIMATE_ZONES}
        shown = {code: [true_colour(file.patch(int(k))) for k in places] for code, places in chosen.items()}
    counts = {c.label: int((codes == c.code).sum()) for c in LOCAL_CLIMATE_ZONES}
    figure = _sheet(shown, counts, columns, f"{source.name}: {len(codes):,} patches of 320 x 320 m")
    with replacing(target) as scratch:
        figure.savefig(scratch, format="png", dpi=110)
    return counts


def true_colour(patch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (y, x, red-green-blue) in 0-1 of a Sentinel-2 patch (10, y, x)."""
    bands = [BANDS["s2"].index(name) for name in ("B04", "B03", "B02")]
    shown: NDArray[np.float32] = np.clip(patch[bands].transpose(1, 2, 0) / _BRIGHTEST, 0, 1) ** (1 / _GAMMA)
    return shown


def _choose(places: NDArray[np.int64], wanted: int, draw: np.random.Generator) -> NDArray[np.int64]:
    return np.sort(draw.choice(places, min(wanted, len(places)), replace=False)) if len(places) else places


def _sheet(shown: dict[int, list[NDArray[np.float32]]], counts: dict[str, int], columns: int, title: str) -> Figure:
    rows = len(LOCAL_CLIMATE_ZONES)
    figure = Figure(figsize=(3.4 + 0.8 * columns, 0.8 * rows + 1.0))
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns + 1, squeeze=False, width_ratios=[4.2, *[1] * columns])
    for line, zone in zip(axes, LOCAL_CLIMATE_ZONES, strict=True):
        for axis in line:
            axis.axis("off")
        _caption(line[0], zone, counts[zone.label])
        for axis, picture in zip(line[1:], shown[zone.code], strict=False):
            axis.imshow(picture, interpolation="nearest")
    figure.suptitle(title, fontsize=11, y=0.995)
    figure.text(0.01, 0.003, f"{CITATION} ({LICENCE})", fontsize=6, color="#555555")
    figure.subplots_adjust(left=0.01, right=0.995, top=0.965, bottom=0.02, wspace=0.04, hspace=0.06)
    return figure


def _caption(axis: Any, zone: MapClass, count: int) -> None:
    swatch = Rectangle((0.0, 0.15), 0.08, 0.7, facecolor=zone.colour, transform=axis.transAxes, clip_on=False)
    axis.add_patch(swatch)
    told = f"{count:,} patches" if count else "no patches"
    axis.text(0.12, 0.62, f"LCZ {zone.label}  {zone.name}", fontsize=9, va="center", transform=axis.transAxes)
    axis.text(0.12, 0.30, told, fontsize=7, color="#555555", va="center", transform=axis.transAxes)
