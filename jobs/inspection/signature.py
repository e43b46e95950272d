"""Recognises a file by its first bytes, and says what it is where it is not accepted."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from jobs.errors import UnsupportedFormat

RASTERS: Final = frozenset({".tif", ".jp2"})
PICTURES: Final = frozenset({".png", ".jpg"})
ACCEPTED: Final = (
    "accepted are images as GeoTIFF, BigTIFF, COG or JPEG 2000, polygons as GeoJSON, GeoPackage or GeoParquet, and "
    "pictures to be annotated as PNG or JPEG"
)
_HEAD_BYTES: Final = 4096
_TAR_MARK: Final = (257, b"ustar")
_GPKG_IDS: Final = (b"GPKG", b"GP10", b"GP11")

_TAKEN: Final[dict[bytes, str]] = {
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"II+\0": ".tif",
    b"MM\0+": ".tif",
    b"\0\0\0\x0cjP  \r\n\x87\n": ".jp2",
    b"\xffO\xffQ": ".jp2",
    b"PAR1": ".parquet",
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
}
_REFUSED: Final[dict[bytes, str]] = {
    b"PK\x03\x04": "a ZIP archive: unpack it, and convert a shapefile to GeoPackage",
    b"PK\x05\x06": "an empty ZIP archive",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"BZh": "a bzip2 archive: unpack it first",
    b"\xfd7zXZ\0": "an xz archive: unpack it first",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive: unpack it first",
    b"Rar!": "a RAR archive: unpack it first",
    b"(\xb5/\xfd": "a Zstandard archive: unpack it first",
    b"GIF8": "a GIF: export a GeoTIFF",
    b"RIFF": "a RIFF file (WebP?): export a GeoTIFF",
    b"BM": "a bitmap: export a GeoTIFF",
    b"%PDF": "a PDF: export a GeoTIFF or a GeoPackage",
    b"\x89HDF": "HDF5 or NetCDF-4: convert it to GeoTIFF",
    b"CDF": "NetCDF: convert it to GeoTIFF",
    b"NITF": "NITF: convert it to GeoTIFF",
    b"\0\0\x27\x0a": "a part of a shapefile: convert it to GeoPackage",
    b"fgb": "FlatGeobuf: convert it to GeoPackage",
}


def recognise(path: Path, name: str) -> str:
    """Return the canonical suffix of what a file holds: .tif, .jp2, .png, .jpg, .geojson, .gpkg or .parquet.

    Raises UnsupportedFormat, saying what was found and what is accepted.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise _refuse(name, "an empty file: send it again")
    for magic, suffix in _TAKEN.items():
        if head.startswith(magic):
            return suffix
    if head.startswith(b"SQLite format 3\0"):
        return _sqlite(head, name)
    for magic, found in _REFUSED.items():
        if head.startswith(magic):
            raise _refuse(name, found)
    offset, mark = _TAR_MARK
    if head[offset:].startswith(mark):
        raise _refuse(name, "a tar archive: unpack it first")
    return _text(head, name)


def _sqlite(head: bytes, name: str) -> str:
    # Bytes 68-71 of an SQLite file are the application id; GeoPackage 1.2 and later write "GPKG".
    if head[68:72] in _GPKG_IDS:
        return ".gpkg"
    raise _refuse(name, "an SQLite database that is not a GeoPackage")


def _text(head: bytes, name: str) -> str:
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    lowered = text[:200].lower()
    if text.startswith(b"{"):
        return ".geojson"
    if lowered.startswith(b"<vrtdataset") or b"<vrtdataset" in lowered or b"<ogrvrtdatasource" in lowered:
        raise _refuse(name, "a VRT, which only points at other files: send the image itself")
    if text.startswith(b"<"):
        raise _refuse(name, "XML or HTML (KML and GML: convert to GeoPackage)")
    if _is_text(head):
        raise _refuse(name, "a text file, not an image or a map layer")
    raise _refuse(name, "a file of an unknown kind")


def _is_text(head: bytes) -> bool:
    decoded = codecs.getincrementaldecoder("utf-8")()
    try:
        return decoded.decode(head).replace("\n", " ").replace("\r", " ").replace("\t", " ").isprintable()
    except UnicodeDecodeError:
        return False


def _refuse(name: str, found: str) -> UnsupportedFormat:
    return UnsupportedFormat(f"{name} is {found}; {ACCEPTED}")
