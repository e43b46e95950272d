from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import ChecksumMismatch, ScratchFull, UploadTooLarge
from jobs.public.problems import RequestError
from models.errors import CityzonesError
from service.receive import Received, receive_file, safe_name

TYPE = "multipart/form-data; boundary=cut"


def _form(*parts: tuple[str, bytes]) -> bytes:
    body = b"".join(b"--cut\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"
                    for head, data in parts)  # fmt: skip
    return body + b"--cut--\r\n"


def _receive(body: bytes, target: Path, *, chunk: int = 7, limit: int = 10_000, kind: str = TYPE) -> Received:
    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(body), chunk):
            yield body[start : start + chunk]

    return asyncio.run(receive_file(stream(), kind, target, limit=limit))


@given(data=st.binary(max_size=3000), chunk=st.integers(1, 4000))
def test_any_bytes_in_any_chunks_arrive_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, chunk: int
) -> None:
    target = tmp_path_factory.mktemp("up") / "file"
    received = _receive(_form(('name="file"; filename="a.tif"', data)), target, chunk=chunk)
    assert received == Received("a.tif", hashlib.sha256(data).hexdigest())
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


def test_a_full_disk_is_told() -> None:
    with pytest.raises(ScratchFull, match="no room"):
        _receive(_form(('name="file"; filename="a"', b"x" * 9000)), Path("/dev/full"))


def test_a_part_may_bring_its_digest(tmp_path: Path) -> None:
    def form(digest: bytes) -> bytes:
        told = base64.b64encode(digest).decode()
        return _form((f'name="file"; filename="a"\r\nContent-Digest: sha-512=:AA==:, sha-256=:{told}:', b"abc"))

    assert _receive(form(hashlib.sha256(b"abc").digest()), tmp_path / "f").filename == "a"
    with pytest.raises(ChecksumMismatch, match="send it again"):
        _receive(form(hashlib.sha256(b"abd").digest()), tmp_path / "f")


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
