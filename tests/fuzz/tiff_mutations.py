"""Spoils images where it matters: every field of every directory, and the bytes around them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests.fuzz.references import xml_texts
from tests.fuzz.tiff_seeds import SEEDS, seed

Draw = Callable[[st.SearchStrategy], object]
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WIDTH, _HEIGHT, _ROWS_A_STRIP, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 278, 322, 323
# Width, height, bits, compression, photometric, strips, samples, planes, predictor, colours, tiles, SubIFDs, JPEG
# tables, GDAL's and GeoTIFF's own, XMP, IPTC, Photoshop, EXIF, ICC, RPC, LERC, and one nobody knows.
TAGS = (
    254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 290, 292, 305, 306, 317, 320, 322, 323, 324, 325,
    330, 338, 339, 347, 512, 513, 514, 529, 530, 532, 700, 33432, 33550, 33723, 33922, 34264, 34377, 34665, 34675,
    34735, 34736, 34737, 42112, 42113, 50674, 50844, 50674, 50908, 65000,
)  # fmt: skip
NUMBERS = (
    0, 1, 2, 3, 4, 5, 7, 8, 13, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 255, 256, 257, 512, 1000, 4095, 4096,
    32767, 32768, 32773, 32946, 34712, 34887, 34925, 50000, 50001, 50002, 65535, 65536, 100_000, 10**6, 16_777_216,
    10**8, 2**30, 2**31 - 1, 2**31, 2**32 - 16, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1,
)  # fmt: skip


@dataclass
class Entry:
    """One tag of one directory, and where its parts stand in the file."""

    at: int
    tag: int
    kind: int
    count: int
    values_at: int

    @property
    def size(self) -> int:
        return _SIZES.get(self.kind, 1)


@dataclass
class Tiff:
    """A TIFF whose fields can be written over in place; `links` are where the next directory's offset stands."""

    data: bytearray
    entries: list[Entry] = field(default_factory=list)
    links: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.order = "<" if self.data[:2] == b"II" else ">"
        self.big = struct.unpack_from(self.order + "H", self.data, 2)[0] == 43
        self.offset, self.tags = ("Q", "Q") if self.big else ("I", "H")
        self.links.append(8 if self.big else 4)
        self._look(self.get(self.links[0], self.offset))

    def get(self, at: int, form: str) -> int:
        return int(struct.unpack_from(self.order + form, self.data, at)[0])

    def put(self, at: int, form: str, value: int) -> None:
        size = struct.calcsize(self.order + form)
        if 0 <= at <= len(self.data) - size:
            self.data[at : at + size] = (value % 256**size).to_bytes(size, "little" if self.order == "<" else "big")

    def of(self, *tags: int) -> list[Entry]:
        return [entry for entry in self.entries if entry.tag in tags]

    def write(self, entry: Entry, value: int, *, place: int = 0) -> None:
        """Write one value of a tag, in the type that the tag has."""
        size = min(entry.size, 8)
        self.put(entry.values_at + place * entry.size, {1: "B", 2: "H", 4: "I", 8: "Q"}[size], value)

    def replace(self, entry: Entry, tag: int, kind: int, content: bytes) -> None:
        """Make an entry another tag whose values are these bytes, at the end of the file."""
        count = len(content) // _SIZES.get(kind, 1)
        self.put(entry.at, "H", tag)
        self.put(entry.at + 2, "H", kind)
        self.put(entry.at + 4, "Q" if self.big else "I", count)
        self.put(entry.at + (12 if self.big else 8), self.offset, len(self.data))
        self.data += content

    def _look(self, at: int) -> None:
        length, inline = (20, 8) if self.big else (12, 4)
        head = struct.calcsize(self.order + self.tags)
        seen = set[int]()
        while 0 < at < len(self.data) - head and at not in seen:
            seen.add(at)
            number = self.get(at, self.tags)
            for place in range(at + head, at + head + number * length, length):
                tag, kind = self.get(place, "H"), self.get(place + 2, "H")
                count, told = self.get(place + 4, "Q" if self.big else "I"), place + length - inline
                held = count * _SIZES.get(kind, 1) <= inline
                self.entries.append(Entry(place, tag, kind, count, told if held else self.get(told, self.offset)))
            link = at + head + number * length
            self.links.append(link)
            at = self.get(link, self.offset)


def _number(draw: Draw, data: bytes | bytearray) -> int:
    near = [len(data) + step for step in (-1000, -16, -1, 0, 1, 1000)]
    return draw(st.one_of(st.sampled_from(NUMBERS), st.sampled_from(near), st.integers(0, len(data))))


def _field(draw: Draw, tiff: Tiff, _: Sequence[str]) -> None:
    entry = draw(st.sampled_from(tiff.entries))
    part = draw(st.sampled_from(["value", "value", "count", "kind", "tag", "offset"]))
    if part == "tag":
        tiff.put(entry.at, "H", draw(st.sampled_from(TAGS)))
    elif part == "kind":
        tiff.put(entry.at + 2, "H", draw(st.sampled_from([*_SIZES, 0, 14, 15, 19, 255, 65535])))
    elif part == "count":
        tiff.put(entry.at + 4, "Q" if tiff.big else "I", _number(draw, tiff.data))
    elif part == "offset":
        tiff.put(entry.at + (12 if tiff.big else 8), tiff.offset, _number(draw, tiff.data))
    else:
        place = draw(st.integers(0, max(0, min(entry.count, 64) - 1)))
        tiff.write(entry, _number(draw, tiff.data), place=place)


def _link(draw: Draw, tiff: Tiff, _: Sequence[str]) -> None:
    target = draw(st.one_of(st.sampled_from([tiff.get(4, "I"), *tiff.links]), st.just(_number(draw, tiff.data))))
    tiff.put(draw(st.sampled_from(tiff.links)), tiff.offset, target)


def _sides(draw: Draw, tiff: Tiff, _: Sequence[str]) -> None:
    """Enlarge the raster, and now and then its blocks with it, so that their number still fits."""
    wide, high = (draw(st.sampled_from([1, 63, 1000, 20_000, 10**5, 10**6, 2**31 - 1, 2**32 - 1])) for _ in range(2))
    whole = draw(st.booleans())
    for entry in tiff.of(_WIDTH, *((_TILE_WIDTH,) if whole else ())):
        tiff.write(entry, wide)
    for entry in tiff.of(_HEIGHT, *((_TILE_HEIGHT, _ROWS_A_STRIP) if whole else ())):
        tiff.write(entry, high)


def _tag(draw: Draw, tiff: Tiff, names: Sequence[str]) -> None:
    """Put a tag in another's place that holds text, directories or numbers of its own."""
    entry = draw(st.sampled_from(tiff.entries))
    kind = draw(st.sampled_from(["text", "xml", "directories", "numbers"]))
    tag = draw(st.sampled_from(TAGS))
    if kind == "xml":
        tiff.replace(entry, draw(st.sampled_from([42112, 700, 42112])), 2, draw(xml_texts(names)) + b"\0")
    elif kind == "text":
        text = draw(st.one_of(st.sampled_from([b"nan", b"1e400", b"-0", b"\xff\xfe", b"%s%n", b""]), xml_texts(names)))
        tiff.replace(entry, tag, 2, text + b"\0")
    elif kind == "directories":
        places = draw(st.lists(st.sampled_from([8, 16, tiff.get(4, "I"), 0, len(tiff.data)]), min_size=1, max_size=5))
        tiff.replace(entry, 330, 13, b"".join(struct.pack(tiff.order + "I", p % 2**32) for p in places))
    else:
        form = draw(st.sampled_from(["H", "I", "Q", "d"]))
        odd = [0, 1, 1e308, float("nan"), float("inf"), -1] if form == "d" else NUMBERS
        values = draw(st.lists(st.sampled_from(odd), min_size=1, max_size=40))
        size = struct.calcsize(form)
        packed = [v if form == "d" else v % 256**size for v in values]
        content = b"".join(struct.pack(tiff.order + form, v) for v in packed)
        tiff.replace(entry, tag, {"H": 3, "I": 4, "Q": 16, "d": 12}[form], content)


def _keys(draw: Draw, tiff: Tiff, _: Sequence[str]) -> None:
    """Write over GeoKeys: which CRS there is, by number or by a text."""
    for entry in tiff.of(34735)[:1]:
        place = draw(st.integers(0, max(0, entry.count - 1)))
        codes = (0, 1, 2, 3, 1024, 2048, 3072, 3073, 4326, 32661, 32767, 34735, 34736, 34737, 65535)
        tiff.write(entry, draw(st.sampled_from(codes)), place=place)


STRUCTURAL = (_field, _field, _field, _link, _sides, _tag, _keys)


@st.composite
def spoiled_directories(draw: Draw, names: Sequence[str]) -> bytes:
    """Return a TIFF with one to four of its fields wrong."""
    tiff = Tiff(bytearray(seed(draw(st.sampled_from([name for name in SEEDS if name != "jp2"])))))
    for change in draw(st.lists(st.sampled_from(STRUCTURAL), min_size=1, max_size=4)):
        change(draw, tiff, names)
    return bytes(tiff.data)


@st.composite
def spoiled_bytes(draw: Draw) -> bytes:
    """Return an image with bytes or whole numbers wrong anywhere, its head above all."""
    data = bytearray(seed(draw(st.sampled_from(sorted(SEEDS)))))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.one_of(st.integers(0, 400), st.integers(0, len(data) - 1))) % len(data)
        change = draw(st.sampled_from(["bit", "byte", "number", "copy"]))
        if change == "bit":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "byte":
            data[at] = draw(st.integers(0, 255))
        elif change == "number":
            value = draw(st.sampled_from(NUMBERS)) % 2**32
            data[at : at + 4] = value.to_bytes(4, draw(st.sampled_from(["little", "big"])))
        else:
            start, length = draw(st.integers(0, len(data) - 1)), draw(st.integers(1, 64))
            data[at : at + length] = data[start : start + length]
    return bytes(data)


@st.composite
def cut_off(draw: Draw) -> bytes:
    """Return an image that ends too early: at the edge of a header, a tag, its values, or anywhere; or goes on."""
    data = seed(draw(st.sampled_from(sorted(SEEDS))))
    edges = [1, 2, 3, 4, 7, 8, 12, 16, len(data) - 1]
    if data[:2] in {b"II", b"MM"}:
        tiff = Tiff(bytearray(data))
        edges += [p for e in tiff.entries for p in (e.at, e.at + 4, e.values_at, e.values_at + 1)] + tiff.links
    at = draw(st.one_of(st.sampled_from(edges), st.integers(1, len(data) - 1)))
    behind = draw(st.sampled_from([b"", b"", b"\0" * 512, b"PK\x03\x04", seed("strips")]))
    return data[:at] + behind


def spoiled_images(names: Sequence[str]) -> st.SearchStrategy:
    """Return images of every way to be wrong; `names` are what texts in them lead to."""
    directories = spoiled_directories(names)
    return st.one_of(directories, directories, directories, spoiled_bytes(), cut_off())
