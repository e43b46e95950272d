"""Maps one small GeoTIFF at once: read, cut into tiles with halo, asked of Triton, written as a class GeoTIFF."""

from __future__ import annotations

import math
import re
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader, MemoryFile

from jobs.errors import BadImage, UploadTooLarge, WrongBands
from jobs.inference import TritonModels
from jobs.inspection import inspect_file, safe_raster
from jobs.public.problems import RequestError
from jobs.scenes.bands import of_picture
from jobs.settings import Settings
from models.cards import Card
from models.channels import CHANNELS
from models.classes import NODATA

MAX_SIDE: Final = 512
_BYTE: Final = 1 / 255

Reflectance = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Codes = np.ndarray[Any, np.dtype[np.uint8]]


def classify_tile(
    path: Path, card: Card, models: TritonModels, settings: Settings, *, scale: float | None, offset: float | None
) -> bytes:
    """Return the class map of a GeoTIFF as a GeoTIFF of the same grid: uint8, palette inside, 0 where no data.

    The file holds the card's bands, by description or in order, at the card's resolution, at most 512 pixels a side.
    Bytes are a picture's numbers as they are; numbers of another type need a scale, in the file or given. Buildings are
    not used. Raises BadImage, WrongBands, UploadTooLarge, UnsupportedFormat, MissingCrs, InferenceUnavailable, or
    RequestError for a scale or offset that is no number.
    """
    if not all(number is None or math.isfinite(number) for number in (scale, offset)):
        raise RequestError("invalid-parameter", "scale and offset are finite numbers")
    found = inspect_file(path, "the image", settings)
    if found.kind != "image":
        raise BadImage(f"classify takes an image with its georeference, not a {found.kind}: send a GeoTIFF")
    _check_grid(found.facts, card)
    with safe_raster(path) as dataset:
        reflectance, valid = _read(dataset, card, scale, offset)
        profile = {"crs": dataset.crs, "transform": dataset.transform}
    codes = map_codes(reflectance, card, models)
    return _write(np.where(valid, codes, NODATA).astype(np.uint8), card, profile)


def map_codes(reflectance: Reflectance, card: Card, models: TritonModels) -> Codes:
    """Return the class codes (y, x) of an image (band, y, x); its surroundings are its own reflection."""
    geometry = card.geometry
    height, width = reflectance.shape[1:]
    rows, columns = math.ceil(height / geometry.tile), math.ceil(width / geometry.tile)
    padded = _pad(reflectance, rows * geometry.tile, columns * geometry.tile, geometry.halo)
    nodes = geometry.tile // geometry.step
    classes = np.zeros((rows * nodes, columns * nodes), np.uint8)
    side = geometry.tile + 2 * geometry.halo
    no_buildings = np.zeros((len(CHANNELS), side, side), np.float32) if card.input.morphology else None
    table = np.array([c.code for c in card.classes], np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * geometry.tile, column * geometry.tile
            answer = models.predict(card, padded[:, top : top + side, left : left + side], no_buildings)
            place = slice(row * nodes, (row + 1) * nodes), slice(column * nodes, (column + 1) * nodes)
            classes[place] = table[answer.argmax(axis=0)]
    fine = classes.repeat(geometry.step, axis=0).repeat(geometry.step, axis=1)
    return np.asarray(fine[:height, :width])


def _check_grid(facts: dict[str, Any], card: Card) -> None:
    if max(facts["width"], facts["height"]) > MAX_SIDE:
        msg = f"classify takes at most {MAX_SIDE} x {MAX_SIDE} pixels; upload the image and start a job for more"
        raise UploadTooLarge(msg)
    crs = CRS.from_user_input(facts["crs"])
    wanted = card.input.resolution
    metres = [side * crs.axis_info[0].unit_conversion_factor for side in facts["resolution"]]
    least, most = (share * wanted for share in card.input.own_pixels)
    if not crs.is_projected or not all(least <= m <= most for m in metres):
        msg = (
            f"{card.id} maps pixels of {wanted:g} m ({least:g} to {most:g} m are taken) in a projected CRS; warp the "
            "image (gdalwarp -t_srs … -tr …)"
        )
        raise BadImage(msg)


def _read(dataset: DatasetReader, card: Card, scale: float | None, offset: float | None) -> tuple[Reflectance, Mask]:
    indexes = _indexes(dataset, card)
    numbers = dataset.read(indexes)
    valid = np.isfinite(numbers).all(axis=0)
    if ColorInterp.alpha in dataset.colorinterp:
        valid &= dataset.read(dataset.colorinterp.index(ColorInterp.alpha) + 1) > 0
    if dataset.nodata is not None and np.isfinite(dataset.nodata):
        there = numbers != dataset.nodata
        # Of a picture, shadows and bright colours hold a 0 in some band; no data is black.
        black = card.input.reflectance == "digital" and dataset.nodata == 0
        valid &= there.any(axis=0) if black else there.all(axis=0)
    factors = np.array([dataset.scales[i - 1] for i in indexes], np.float32)
    shifts = np.array([dataset.offsets[i - 1] for i in indexes], np.float32)
    if scale is not None or offset is not None:
        factors[:], shifts[:] = 1.0 if scale is None else scale, offset or 0.0
    elif card.input.reflectance == "digital" and numbers.dtype == np.uint8:
        factors[:], shifts[:] = _BYTE, 0.0
    elif numbers.dtype.kind != "f" and (factors == 1).all():
        msg = "the image holds integers and no scale: give scale and offset (reflectance = number * scale + offset)"
        raise BadImage(msg)
    reflectance = numbers.astype(np.float32) * factors[:, None, None] + shifts[:, None, None]
    return np.where(valid, reflectance, 0).astype(np.float32), valid


def _indexes(dataset: DatasetReader, card: Card) -> list[int]:
    """Return the file's bands (from 1) in the card's order; a picture's also by the colours it says they have."""
    described, bands = [d or "" for d in dataset.descriptions], card.input.bands
    colours = [colour.name for colour in takewhile(lambda c: c != ColorInterp.alpha, dataset.colorinterp)]
    if card.input.reflectance != "digital" or any(described) or len(colours) < len(bands):
        return band_indexes(described, card)
    names, _ = of_picture(colours, bands)
    return [names.index(band) + 1 for band in bands]


def band_indexes(descriptions: list[str], card: Card) -> list[int]:
    """Return the file's bands (from 1) in the card's order: by description, else all of them in order."""
    named = {_plain(text): index for index, text in reversed(list(enumerate(descriptions, 1)))}
    wanted = [_plain(band) for band in card.input.bands]
    if all(band in named for band in wanted):
        return [named[band] for band in wanted]
    if len(descriptions) == len(wanted) and not any(band in named for band in wanted):
        return list(range(1, len(wanted) + 1))
    missing = [band for band in card.input.bands if _plain(band) not in named]
    msg = (
        f"{card.id} needs {len(wanted)} bands ({', '.join(card.input.bands)}); the image has {len(descriptions)} "
        f"and none is described as {', '.join(missing)}"
    )
    raise WrongBands(msg)


def _plain(band: str) -> str:
    """Return a band's name in one spelling: B2, b02 and B02 are the same."""
    return re.sub(r"^b0*(?=\d)", "b", band.strip().lower())


def _pad(image: Reflectance, height: int, width: int, halo: int) -> Reflectance:
    after = height - image.shape[1], width - image.shape[2]
    widths = ((0, 0), (halo, halo + after[0]), (halo, halo + after[1]))
    if min(image.shape[1:]) == 1:  # one line has nothing to reflect
        return np.pad(image, widths, mode="edge")
    return np.pad(image, widths, mode="reflect")


def _write(codes: Codes, card: Card, profile: dict[str, Any]) -> bytes:
    height, width = codes.shape
    palette = {NODATA: (0, 0, 0, 0)} | {c.code: (*c.rgb, 255) for c in card.classes}
    told = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint8", "compress": "deflate"}
    with MemoryFile() as memory:
        with rasterio.Env(GDAL_PAM_ENABLED="NO"), memory.open(nodata=NODATA, **told, **profile) as out:
            out.write(codes, 1)
            out.write_colormap(1, palette)
            out.set_band_description(1, card.product)
            out.update_tags(1, **{str(c.code): c.name for c in card.classes})
            out.update_tags(model=card.id, model_version=card.version, precision=card.serving.precision)
        return bytes(memory.read())
