"""What is no image at all and calls itself one: files that point at files, archives, and other formats."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Sequence

from hypothesis import strategies as st

from tests.fuzz.references import BOMB
from tests.fuzz.tiff_seeds import SEEDS, seed

_VRT = (
    '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32633</SRS><VRTRasterBand dataType="UInt16" band="1">'
    "<SimpleSource><SourceFilename>{name}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
    "</VRTDataset>"
)
_PYTHON = (
    '<VRTDataset rasterXSize="9" rasterYSize="9">'
    '<VRTRasterBand dataType="Byte" band="1" subClass="VRTDerivedRasterBand">'
    "<PixelFunctionLanguage>Python</PixelFunctionLanguage><PixelFunctionCode>open('{name}')</PixelFunctionCode>"
    "</VRTRasterBand></VRTDataset>"
)
_TEXTS = (
    _VRT, _PYTHON, "\ufeff \n" + _VRT, "<?xml version='1.0'?><!-- x -->" + _VRT, "<!--" + "x" * 5000 + "-->" + _VRT,
    '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{name}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>',
    "<GDALTileIndexDataset><IndexDataset>{name}</IndexDataset></GDALTileIndexDataset>",
    '<GDAL_WMS><Service name="TMS"><ServerUrl>{name}</ServerUrl></Service></GDAL_WMS>',
    "<WCS_GDAL><ServiceURL>{name}</ServiceURL></WCS_GDAL>", "<Open_GDAL>{name}</Open_GDAL>", "{name}",
    "ENVI\ndescription = {{{name}}}\nsamples = 9\nlines = 9\nbands = 1\nheader offset = 0\ndata type = 12",
    "ncols 9\nnrows 9\nxllcorner 0\nyllcorner 0\ncellsize 10\n" + "1 " * 81,
    '{{"zarr_format": 2, "shape": [9, 9], "chunks": [9, 9], "dtype": "<u2", "fill_value": 0, "x": "{name}"}}',
    '{{"type": "FeatureCollection", "features": "{name}"}}', "<!DOCTYPE a SYSTEM '{name}'><kml/>", BOMB,
    "<xml>" * 100_000, 'id,WKT\n1,"POINT(0 0)"\n', "CDF\x01{name}", "NITF02.10{name}", "GRIB{name}", "FCCC{name}",
)  # fmt: skip
_HEADS = (
    b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0", b"\0\0\0\x0cjP  \r\n\x87\n", b"\xffO\xffQ", b"PAR1",
    b"SQLite format 3\0", b"EP\0*", b"II\x55\0", b"II\xbc\x01", b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh9",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"%PDF-1.7", b"\x89HDF\r\n\x1a\n", b"7z\xbc\xaf\x27\x1c",
    b"(\xb5/\xfd", b"\xfd7zXZ\0", b"{", b"\xef\xbb\xbf{", b"\xff\xfe{\0", b"\0", b"\xff" * 9, b"", b"fgb\x03fgb\0",
)  # fmt: skip


@st.composite
def disguises(draw: st.DrawFn, names: Sequence[str]) -> bytes:
    """Return a text that leads elsewhere, an archive, or a good image behind another head."""
    name = draw(st.sampled_from(names))
    kind = draw(st.sampled_from(["text", "text", "archive", "head", "both"]))
    if kind == "text":
        text = draw(st.sampled_from(_TEXTS))
        text = text if text is BOMB else text.format(name=name)
        return text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-16"])))
    image = seed(draw(st.sampled_from(sorted(SEEDS))))
    if kind == "archive":
        return draw(st.sampled_from([_zip, _gzip, _tar]))(image)
    head = draw(st.sampled_from(_HEADS))
    if kind == "both":
        return head + _VRT.format(name=name).encode() + image
    return head + image[len(head) if draw(st.booleans()) else 0 :]


def _zip(image: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("../../image.tif", image)
    return held.getvalue()


def _gzip(image: bytes) -> bytes:
    return gzip.compress(image, mtime=0)


def _tar(image: bytes) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        member = tarfile.TarInfo("../../image.tif")
        member.size = len(image)
        archive.addfile(member, io.BytesIO(image))
    return held.getvalue()
