"""The legend of a map: what each colour means and how much of the map it covers, as JSON and as a picture."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from models.classes import MapClass, Palette
from service.tiles.bodies import Entry, Legend
from service.tiles.drawing import ramp
from service.tiles.reading import Coverage

_STOPS: Final = (100, 75, 50, 25, 1)
_ROW: Final = 24
_PAD: Final = 10
_TEXT: Final = 14
_INK: Final = (29, 38, 48)


def class_legend(
    title: str, classes: tuple[MapClass, ...], covered: Coverage | None = None, *, palette: Palette = "standard"
) -> Legend:
    """Return every class of a product, with its share (0-1) of what is mapped and its area where these are known."""
    entries = [
        Entry(
            code=c.code, label=c.label, name=c.name, colour=c.colour_in(palette),
            share=covered and covered.share(c.code), km2=covered and covered.km2(c.code),
        )
        for c in classes
    ]  # fmt: skip
    return Legend(title=title, layer="map", entries=entries)


def confidence_legend() -> Legend:
    """Return colours of some percents; those between them are interpolated."""
    entries = [
        Entry(code=percent, label=f"{percent} %", name="Probability of the class", colour=_hex(ramp()[percent]))
        for percent in _STOPS
    ]
    return Legend(title="Confidence", layer="confidence", entries=entries)


def image_legend() -> Legend:
    """Return a legend without entries: a picture's colours stand for nothing else."""
    return Legend(title="Imagery", layer="image", entries=[])


def picture(legend: Legend) -> bytes:
    """Return a legend as a PNG on white, one row an entry."""
    font = ImageFont.load_default(_TEXT)
    rows = [(entry.colour, f"{entry.label}  {entry.name}") for entry in legend.entries]
    wide = max(font.getlength(text) for _, text in [*rows, ("", legend.title)])
    size = (int(wide) + _ROW + 3 * _PAD, _ROW * (len(rows) + 1) + 2 * _PAD)
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    pen.text((_PAD, _PAD + _ROW // 2), legend.title, _INK, font, anchor="lm")
    for index, (colour, text) in enumerate(rows, start=1):
        top = _PAD + index * _ROW
        pen.rectangle((_PAD, top + 3, _PAD + _ROW, top + _ROW - 3), fill=colour, outline=_INK)
        pen.text((2 * _PAD + _ROW, top + _ROW // 2), text, _INK, font, anchor="lm")
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    return data.getvalue()


def _hex(colour: tuple[int, ...]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour[:3])
