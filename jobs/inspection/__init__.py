"""What an uploaded file is, judged by its content on arrival, and how it is opened safely afterwards."""

from __future__ import annotations

from pathlib import Path

from jobs.inspection.facts import Inspection
from jobs.inspection.picture import inspect_picture
from jobs.inspection.raster import DRIVERS, PICTURE_DRIVERS, inspect_raster, safe_raster
from jobs.inspection.signature import PICTURES, RASTERS, recognise
from jobs.settings import Settings

__all__ = ["DRIVERS", "PICTURE_DRIVERS", "Inspection", "inspect_file", "safe_raster"]


def inspect_file(path: Path, filename: str, settings: Settings) -> Inspection:
    """Judge an uploaded file by its content; `filename` is only repeated in messages, never believed.

    Raises UnsupportedFormat, BadImage, BadVector, MissingCrs or UploadTooLarge; never an error of a library.
    """
    name = clean_name(filename)
    suffix = recognise(path, name)
    if suffix in RASTERS:
        return Inspection("image", suffix, inspect_raster(path, name, settings))
    if suffix in PICTURES:
        return Inspection("picture", suffix, inspect_picture(path, name))
    from jobs.inspection.vector import inspect_vector  # noqa: PLC0415 - pandas and Arrow, only where vectors come

    return Inspection("vector", suffix, inspect_vector(path, suffix, name, settings))


def clean_name(filename: str) -> str:
    """Return the last part of a client's file name, printable and at most 100 characters, for messages."""
    last = filename.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:100] or "the file"
