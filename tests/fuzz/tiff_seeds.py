"""Good images to spoil: every layout, compression and kind of number that the service takes, a few kilobytes each."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from tests.unit.imagery_samples import BANDS

_TILES: dict[str, Any] = {"tiled": True, "blockxsize": 16, "blockysize": 16}
_THREE: dict[str, Any] = {"dtype": "uint8", "bands": 3}
SEEDS: dict[str, dict[str, Any]] = {
    "strips": {"compress": "deflate"},
    "lzw": {"compress": "lzw", "predictor": 2, **_TILES},
    "bigtiff": {"BIGTIFF": "YES", "compress": "zstd", **_TILES},
    "cog": {"driver": "COG", "compress": "deflate", "side": 128, "blocksize": 64},
    "overviews": {"compress": "deflate", "side": 64, "overviews": (2, 4), **_TILES},
    "float32": {"dtype": "float32", "compress": "deflate", "predictor": 3, "nodata": float("nan"), **_TILES},
    "float64": {"dtype": "float64", "interleave": "band", "bands": 2, "side": 32},
    "jpeg": {"compress": "jpeg", "photometric": "ycbcr", **_THREE, **_TILES},
    "big-endian": {"ENDIANNESS": "BIG", "compress": "packbits", "side": 32},
    "twelve-bit": {"NBITS": 12, "side": 32},
    "half": {"dtype": "float32", "NBITS": 16, "side": 32},
    "lerc": {"compress": "lerc_zstd", **_TILES},
    "lzma": {"compress": "lzma"},
    "webp": {"compress": "webp", **_THREE, **_TILES},
    "fax": {"compress": "ccittfax4", "NBITS": 1, "dtype": "uint8", "bands": 1},
    "mask": {"compress": "deflate", "masked": True, **_TILES},
    "described": {"compress": "deflate", "described": True, "nodata": 0},
    "jp2": {"driver": "JP2OpenJPEG", "bands": 3, "QUALITY": "100", "REVERSIBLE": "YES"},
}


@cache
def seed(name: str) -> bytes:
    """Return one of the SEEDS."""
    return _image(**SEEDS[name])


def _image(
    *,
    driver: str = "GTiff",
    bands: int = 10,
    side: int = 64,
    dtype: str = "uint16",
    overviews: tuple[int, ...] = (),
    masked: bool = False,
    described: bool = False,
    **told: Any,
) -> bytes:
    rows, columns = np.mgrid[:side, :side]
    values = np.stack([800 + 40 * ((columns // 8 + rows // 8 + band) % 9) for band in range(bands)])
    values = values / 10_000 if dtype.startswith("float") else values % np.iinfo(dtype).max
    place = {"crs": "EPSG:32633", "transform": from_origin(390_000, 5_820_000, 10, 10)}
    with MemoryFile() as memory:
        with memory.open(driver=driver, count=bands, height=side, width=side, dtype=dtype, **place, **told) as out:
            out.write(values.astype(dtype))
            if described:
                out.descriptions = BANDS[:bands]
                out.scales, out.offsets = (0.0001,) * bands, (-0.1,) * bands
                out.update_tags(TIFFTAG_DATETIME="2026:01:01 00:00:00", AREA_OR_POINT="Area", note="é" * 50)
            if masked:
                out.write_mask((columns > 4) * np.uint8(255))
            if overviews:
                out.build_overviews(list(overviews), Resampling.average)
        return bytes(memory.read())
