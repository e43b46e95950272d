"""Pictures are taken by their content alone, whole and in bounds, or refused in one sentence."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.errors import BadImage, UploadTooLarge
from jobs.inspection import inspect_file
from jobs.settings import Settings
from models.errors import CityzonesError

SETTINGS = Settings()
PIXELS = np.random.default_rng(3).integers(0, 255, (90, 120, 3), np.uint8)


def encoded(form: str, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(out, form)
    return out.getvalue()


@pytest.mark.parametrize(
    ("form", "mode", "suffix", "colours"),
    [
        ("PNG", "RGB", ".png", ["red", "green", "blue"]),
        ("PNG", "RGBA", ".png", ["red", "green", "blue", "alpha"]),
        ("PNG", "L", ".png", ["gray"]),
        ("JPEG", "RGB", ".jpg", ["red", "green", "blue"]),
        ("JPEG", "L", ".jpg", ["gray"]),
    ],
)
def test_pictures_are_taken(tmp_path: Path, form: str, mode: str, suffix: str, colours: list[str]) -> None:
    path = tmp_path / "a.tif"  # a name says nothing
    path.write_bytes(encoded(form, mode))
    found = inspect_file(path, "a.tif", SETTINGS)
    assert (found.kind, found.suffix) == ("picture", suffix)
    assert (found.facts["width"], found.facts["height"], found.facts["colours"]) == (120, 90, colours)
    assert "lonlat_bounds" not in found.facts


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_half_a_picture_is_refused(tmp_path: Path, form: str, share: float) -> None:
    path, whole = tmp_path / "a", encoded(form)
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BadImage, match="cannot be read"):
        inspect_file(path, "a", SETTINGS)


def test_a_palette_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG", "P"))
    with pytest.raises(BadImage, match="palette"):
        inspect_file(path, "a.png", SETTINGS)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_bomb_is_refused_by_its_head(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(9000))), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks))
    with pytest.raises(UploadTooLarge, match="4096"):
        inspect_file(path, "a.png", SETTINGS)


@settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(form=st.sampled_from(["PNG", "JPEG"]), places=st.lists(st.tuples(st.integers(4, 400), st.integers(0, 255))))
def test_spoiled_pictures_end_in_our_errors(tmp_path: Path, form: str, places: list[tuple[int, int]]) -> None:
    data = bytearray(encoded(form))
    for place, value in places:
        data[place] = value
    path = tmp_path / "a"
    path.write_bytes(data)
    try:
        found = inspect_file(path, "a", SETTINGS)
    except CityzonesError:
        return
    assert found.kind == "picture"
