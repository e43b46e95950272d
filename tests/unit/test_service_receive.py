from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import UploadTooLarge
from jobs.public.problems import RequestError
from models.errors import CityzonesError
from service.receive import receive_file, safe_name

TYPE = "multipart/form-data; boundary=cut"


def _form(*parts: tuple[str, bytes]) -> bytes:
    body = b"".join(b"--cut\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"
                    for head, data in parts)  # fmt: skip
    return body + b"--cut--\r\n"


def _receive(body: bytes, target: Path, *, chunk: int = 7, limit: int = 10_000, kind: str = TYPE) -> str:
    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(body), chunk):
            yield body[start : start + chunk]

    return asyncio.run(receive_file(stream(), kind, target, limit=limit))


@given(data=st.binary(max_size=3000), chunk=st.integers(1, 4000))
def test_any_bytes_in_any_chunks_arrive_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, chunk: int
) -> None:
    target = tmp_path_factory.mktemp("up") / "file"
    assert _receive(_form(('name="file"; filename="a.tif"', data)), target, chunk=chunk) == "a.tif"
    assert target.read_bytes() == data


def test_a_file_over_the_limit_is_refused_while_it_comes(tmp_path: Path) -> None:
    with pytest.raises(UploadTooLarge):
        _receive(_form(('name="file"; filename="a"', b"x" * 101)), tmp_path / "f", limit=100)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        b"--cut--\r\n",
        _form(('name="file"', b"a field, not a file")),
        _form(('name="other"; filename="a"', b"x")),
        _form(('name="file"; filename="a"', b"x"), ('name="file"; filename="b"', b"y")),
        _form(('name="file"; filename="a"', b"x"))[:-10],
        _form(('name="file"; filename="' + "a" * 9000 + '"', b"x")),
    ],
)
def test_other_forms_are_malformed(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        _receive(body, tmp_path / "f")
    assert caught.value.code == "malformed-request"


@pytest.mark.parametrize("kind", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=x"])
def test_other_content_types_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(CityzonesError) as caught:
        _receive(b"", tmp_path / "f", kind=kind)
    assert caught.value.code == "unsupported-media-type"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\maps\\city.tif", "city.tif"),
        ("Zürich 2026.tif", "Zürich 2026.tif"),
        ('a"b\r\nX: y.tif', "a_b__X_ y.tif"),
        ("...", "upload"),
        ("", "upload"),
    ],
)
def test_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_long_names_keep_their_end() -> None:
    assert safe_name("x" * 500 + ".tif").endswith("x.tif")
    assert len(safe_name("x" * 500 + ".tif")) == 120
