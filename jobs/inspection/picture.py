"""PNG and JPEG: pictures without a place on the Earth, to be annotated and not to be mapped."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Final

from PIL import Image
from rasterio.io import DatasetReader

from jobs.errors import BadImage, UploadTooLarge
from jobs.inspection.raster import PICTURE_DRIVERS, pixel_facts, safe_raster

MOST_PIXELS: Final = 4096**2
_EXPECTED: Final = (OSError, ValueError, SyntaxError, ArithmeticError, MemoryError, struct.error, zlib.error)
_DAMAGED: Final = "it is damaged or of an unusual kind; export it again as PNG or JPEG"


def inspect_picture(path: Path, name: str) -> dict[str, Any]:
    """Decode a picture whose signature is right and return its facts; raises BadImage or UploadTooLarge."""
    try:
        with safe_raster(path, PICTURE_DRIVERS) as dataset:
            _check(dataset, name)
            _check_complete(path)
            return pixel_facts(dataset)
    except BadImage as error:
        known = error.detail.startswith(name)
        raise error if known else BadImage(f"{name} cannot be read: {_DAMAGED}") from error
    except _EXPECTED as error:
        raise BadImage(f"{name} cannot be read: {_DAMAGED}") from error


def _check(dataset: DatasetReader, name: str) -> None:
    if dataset.width * dataset.height > MOST_PIXELS:
        told = f"{name} has {dataset.width} x {dataset.height} pixels, more than 4096 x 4096: cut it into tiles"
        raise UploadTooLarge(told)
    if "palette" in {colour.name for colour in dataset.colorinterp}:
        raise BadImage(f"{name} has a palette: export it with red, green and blue")


def _check_complete(path: Path) -> None:
    """Decode every pixel by the library that tells where some are missing: GDAL fills them in."""
    with Image.open(path, formats=("PNG", "JPEG")) as picture:
        picture.load()
