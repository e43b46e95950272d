"""A picture of the map for people: north up, with title, legend, scale bar, north arrow and attribution."""

from __future__ import annotations

import io
import math
import unicodedata
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from worker.products.facts import MapFacts, small_km2
from worker.products.style import legend

MAP_PIXELS: Final = 1200
_LEAST_PIXELS: Final = 560
_MARGIN: Final = 40
_LEGEND_WIDTH: Final = 450
_HEAD: Final = 128
_FOOT: Final = 128
_ROW: Final = 38
_INK: Final = (33, 37, 41)
_SOFT: Final = (108, 117, 125)
_LINE: Final = (173, 181, 189)
_EMPTY: Final = (241, 243, 245)
_PAPER: Final = (255, 255, 255)

# Letters without a Unicode decomposition into a base letter, and dashes.
_PLAIN: Final = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ß": "ss", "æ": "ae",
                               "Æ": "AE", "\u2013": "-", "\u2014": "-", "\u2019": "'"})  # fmt: skip

Colour = tuple[int, int, int]


class Thumbnail:
    """The map at the preview's size, gathered while it is decided window by window: the nearest pixel of each."""

    def __init__(self, shape: tuple[int, int]) -> None:
        """Prepare the picture of a map of `shape` pixels (y, x)."""
        factor = MAP_PIXELS / max(shape)
        factor = float(math.floor(factor)) if factor >= 1 else factor
        self._rows, self._columns = (_nearest(length, max(1, round(length * factor))) for length in shape)
        self.classes = np.zeros((len(self._rows), len(self._columns)), np.uint8)
        self.pixels = shape[1] / len(self._columns)

    def add(self, rows: slice, columns: slice, classes: NDArray[np.uint8]) -> None:
        """Take what the picture needs of a window of class codes, (y, x)."""
        mine = np.flatnonzero((self._rows >= rows.start) & (self._rows < rows.stop))
        beside = np.flatnonzero((self._columns >= columns.start) & (self._columns < columns.stop))
        picked = classes[(self._rows[mine] - rows.start)[:, None], self._columns[beside] - columns.start]
        self.classes[mine[:, None], beside] = picked


def draw_preview(thumbnail: Thumbnail, facts: MapFacts) -> bytes:
    """Return a PNG of the map; the same input gives the same bytes."""
    picture = _map(thumbnail.classes, facts)
    metres = facts.grid.resolution * thumbnail.pixels
    rows = len(facts.present) + 1
    inner = max(picture.height, 150 + rows * _ROW + 130)
    size = _MARGIN * 3 + picture.width + _LEGEND_WIDTH, _HEAD + inner + _FOOT
    page = _Page(Image.new("RGB", size, _PAPER))
    page.head(facts)
    page.map(picture)
    page.legend(facts, _MARGIN * 2 + picture.width)
    page.north(size[0] - _MARGIN - 34, _HEAD)
    page.scale(_MARGIN, _HEAD + inner + 26, metres, picture.width)
    page.foot(facts)
    sink = io.BytesIO()
    page.image.save(sink, "PNG", optimize=True)
    return sink.getvalue()


def _nearest(length: int, shown: int) -> NDArray[np.int64]:
    """Return which of `length` pixels each of the `shown` ones takes."""
    return np.minimum((np.arange(shown) + 0.5) * length / shown, length - 1).astype(np.int64)


def _map(classes: NDArray[np.uint8], facts: MapFacts) -> Image.Image:
    table = np.full((256, 3), _EMPTY, np.uint8)
    for kind in facts.card.classes:
        table[kind.code] = kind.rgb
    height, width = classes.shape
    canvas = Image.new("RGB", (max(width, _LEAST_PIXELS), height), _EMPTY)
    canvas.paste(Image.fromarray(table[classes]), ((canvas.width - width) // 2, 0))
    return canvas


@dataclass(frozen=True, slots=True)
class _Page:
    image: Image.Image

    @property
    def pen(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.image)

    def text(self, x: float, y: float, text: str, size: int, colour: Colour = _INK, anchor: str = "la") -> None:  # noqa: PLR0917 - as Pillow
        self.pen.text((x, y), text, fill=colour, font=_font(size), anchor=anchor)

    def head(self, facts: MapFacts) -> None:
        room = self.image.width - 2 * _MARGIN
        self.text(_MARGIN, 30, _fit(facts.title, 40, room), 40)
        period = _period(facts)
        product = "" if facts.product_title == facts.title else facts.product_title
        parts = [
            product,
            f"{facts.km2:,.1f} km2" if facts.km2 >= 1 else f"{small_km2(facts.km2)} km2",
            f"model {facts.card.id} {facts.card.version}",
            period,
        ]
        self.text(_MARGIN, 82, _fit("  ·  ".join(p for p in parts if p), 22, room), 22, _SOFT)

    def map(self, picture: Image.Image) -> None:
        self.image.paste(picture, (_MARGIN, _HEAD))
        box = (_MARGIN - 1, _HEAD - 1, _MARGIN + picture.width, _HEAD + picture.height)
        self.pen.rectangle(box, outline=_LINE)

    def legend(self, facts: MapFacts, x: int) -> None:
        self.text(x, _HEAD, "Legend", 26)
        self.text(x + _LEGEND_WIDTH - 70, _HEAD + 76, "% of map", 16, _SOFT, "rs")
        y = _HEAD + 90
        for area in facts.present:
            self._entry(x, y, area.kind.rgb, legend(area.kind), _percent(area.share))
            y += _ROW
        self._entry(x, y, _EMPTY, "No data", "")

    def _entry(self, x: int, y: int, colour: Colour, name: str, figure: str) -> None:
        self.pen.rectangle((x, y, x + 36, y + 24), fill=colour, outline=_LINE)
        self.text(x + 50, y + 12, _fit(name, 21, _LEGEND_WIDTH - 190), 21, anchor="lm")
        self.text(x + _LEGEND_WIDTH - 70, y + 12, figure, 21, _SOFT, "rm")

    def north(self, x: int, y: int) -> None:
        self.pen.polygon([(x, y), (x + 13, y + 40), (x, y + 31)], fill=_INK)
        self.pen.polygon([(x, y), (x - 13, y + 40), (x, y + 31)], fill=_PAPER, outline=_INK)
        self.text(x, y + 64, "N", 22, anchor="ms")

    def scale(self, x: int, y: int, metres: float, width: int) -> None:
        length = _round_length(0.32 * width * metres)
        half = round(length / metres / 2)
        for index, colour in enumerate((_INK, _PAPER)):
            self.pen.rectangle((x + index * half, y, x + (index + 1) * half, y + 9), fill=colour, outline=_INK)
        unit, divisor = ("km", 1000.0) if length >= 1000 else ("m", 1.0)  # noqa: PLR2004 - metres in a kilometre
        for share, label in ((0.0, "0"), (0.5, f"{length / 2 / divisor:g}"), (1.0, f"{length / divisor:g} {unit}")):
            anchor = "la" if share == 0 else "ma"
            self.text(x + share * 2 * half, y + 15, label, 18, anchor=anchor)

    def foot(self, facts: MapFacts) -> None:
        y, right = self.image.height - 30, self.image.width - _MARGIN
        stamp = f"{facts.job}  ·  {facts.created:%Y-%m-%d}"
        self.text(right, y, stamp, 17, _SOFT, "rs")
        room = right - _MARGIN - _font(17).getlength(stamp) - 40
        self.text(_MARGIN, y, _fit(facts.imagery.attribution, 17, room), 17, _SOFT, "ls")


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        msg = "Pillow was built without FreeType: install its ordinary wheel"
        raise RuntimeError(msg)  # noqa: TRY004 - not a caller's type error
    return font


def _fit(text: str, size: int, room: float) -> str:
    """Cut a text to one line of the room there is."""
    font = _font(size)
    text = _drawable(" ".join(text.split()), font)
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "...") > room:
        text = text[:-1]
    return text.rstrip() + "..."


def _drawable(text: str, font: ImageFont.FreeTypeFont) -> str:
    """Replace letters the font lacks by their base letter, or by a question mark."""
    box = bytes(font.getmask("\uffff"))

    def known(letter: str) -> bool:
        return letter.isascii() or bytes(font.getmask(letter)) != box

    plain = (c if known(c) else unicodedata.normalize("NFKD", c)[0].translate(_PLAIN) for c in text)
    return "".join(c if all(map(known, c)) else "?" for c in plain)


def _round_length(metres: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is no longer."""
    power = 10.0 ** math.floor(math.log10(metres))
    return next(step * power for step in (5, 2, 1) if step * power <= metres)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share >= 0.0005 else "< 0.1"  # noqa: PLR2004 - what one decimal can show


def _period(facts: MapFacts) -> str:
    days = sorted(scene.datetime[:10] for scene in facts.imagery.scenes)
    if not days:
        return ""
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
