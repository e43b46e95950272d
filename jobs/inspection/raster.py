"""GeoTIFF and JPEG 2000: what their headers say, whether all their blocks are there, and how to open them safely."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from jobs.errors import BadImage, MissingCrs, UploadTooLarge
from jobs.inspection.facts import crs_name, lonlat_bounds, self_contained
from jobs.inspection.tiff import check_directories
from jobs.settings import Settings

DRIVERS: Final = ("GTiff", "JP2OpenJPEG")
PICTURE_DRIVERS: Final = ("PNG", "JPEG")
# A file may not reach beyond itself: no directory listing (no .aux.xml, .ovr, .msk), no PAM, no world file, and
# curl only for names ending in a suffix that no name has.
LOCAL_ENV: Final[dict[str, Any]] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL,GEOJP2,GMLJP2",
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GTIFF_VIRTUAL_MEM_IO": "NO",
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".nothing-is-fetched",
    "CPL_VSIL_ZIP_ALLOWED_EXTENSIONS": ".nothing-is-unpacked",
    "GDAL_CACHEMAX": 128 * 1024**2,
    "GDAL_NUM_THREADS": "1",
}
# A filter for the whole process: switching it per call is not safe in threads, and the client is told anyway.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
MAX_BANDS: Final = 64
_MAX_BLOCK_BYTES: Final = 512 * 1024**2
# Deflate shrinks at best 1032 times, LZW not much more; a larger file shrunk further holds nothing worth mapping.
_MAX_RATIO: Final = 1100
_RATIO_FROM_BYTES: Final = 256 * 1024**2
# In units of the CRS: a tenth of a millimetre where these are degrees.
_LEAST_SIDE: Final = 1e-9
_FARTHEST: Final = 1e9  # of any coordinate, in units of the CRS: the Earth is 4e7 m around
_SAMPLED_BLOCKS: Final = 5
_CHECKED_BLOCKS: Final = 50_000
_EXPECTED: Final = (CRSError, OSError, ValueError, ArithmeticError, MemoryError)


@contextmanager
def safe_raster(path: Path, drivers: Sequence[str] = DRIVERS) -> Iterator[DatasetReader]:
    """Open an uploaded image: GeoTIFF and JPEG 2000 drivers only, or as told; nothing beside the file, no network.

    Raises BadImage for whatever GDAL cannot open, and for whatever it cannot read inside the `with` block.
    """
    try:
        with (
            rasterio.Env(**LOCAL_ENV),
            DatasetReader(str(path.absolute()), driver=list(drivers), sharing=False) as dataset,
        ):
            yield dataset
    except RasterioError as error:
        msg = "the image cannot be read: it is damaged or of an unusual kind; export it as a plain GeoTIFF"
        raise BadImage(msg) from error


def inspect_raster(path: Path, name: str, settings: Settings) -> dict[str, Any]:
    """Check an image whose signature is right and return its facts.

    Raises BadImage (damaged, truncated, rotated, odd numbers), MissingCrs or UploadTooLarge.
    """
    try:
        check_directories(path, name)
        with safe_raster(path) as dataset:
            _check_size(dataset, path.stat().st_size, name, settings)
            _check_numbers(dataset, name)
            crs = check_georeference(dataset, name)
            facts = _facts(dataset, crs, name)
            _check_complete(dataset, path.stat().st_size, name)
    except BadImage as error:
        raise _damaged(error, name) from error
    except _EXPECTED as error:
        msg = f"{name} cannot be read as an image: it is damaged; export it again as GeoTIFF"
        raise BadImage(msg) from error
    return facts


def _damaged(error: BadImage, name: str) -> BadImage:
    return BadImage(error.detail.replace("the image", name, 1), faults=error.faults)


def _check_size(dataset: DatasetReader, size: int, name: str, settings: Settings) -> None:
    pixels = dataset.width * dataset.height
    if pixels > settings.max_pixels:
        msg = f"{name} has {pixels} pixels, more than {settings.max_pixels}: cut it into parts"
        raise UploadTooLarge(msg)
    if dataset.count > MAX_BANDS:
        raise BadImage(f"{name} has {dataset.count} bands, more than {MAX_BANDS}: keep the bands the model needs")
    item = max((np.dtype(d).itemsize for d in dataset.dtypes if not d.startswith("c")), default=1)
    decoded = pixels * dataset.count * item
    if decoded > _RATIO_FROM_BYTES and decoded > _MAX_RATIO * size:
        msg = f"{name} would unpack to {decoded / size:.0f} times its size: export it without empty blocks"
        raise UploadTooLarge(msg)
    rows, columns = dataset.block_shapes[0]
    bands = dataset.count if str(dataset.profile.get("interleave", "")).lower() == "pixel" else 1
    if dataset.driver == "GTiff" and rows * columns * item * bands > _MAX_BLOCK_BYTES:
        raise BadImage(f"{name} is stored as one huge block: export it in tiles (gdal_translate -co TILED=YES)")


def _check_numbers(dataset: DatasetReader, name: str) -> None:
    odd = sorted({d for d in dataset.dtypes if np.dtype(d).kind not in "uif"})
    if odd:
        raise BadImage(f"{name} holds {', '.join(odd)} numbers; send integers or floating-point reflectance")
    if not dataset.count:
        raise BadImage(f"{name} holds no band")


def check_georeference(dataset: DatasetReader, name: str) -> CRS:
    """Return an image's CRS; raises MissingCrs, or BadImage unless it lies north-up somewhere on the Earth."""
    transform = dataset.transform
    if dataset.crs is None:
        msg = (
            f"{name} does not say which coordinate reference system it is in: "
            "set it (gdal_edit.py -a_srs EPSG:...) and send it again"
        )
        raise MissingCrs(msg)
    if transform.is_identity or not all(math.isfinite(v) for v in transform[:6]):
        raise BadImage(f"{name} has no position on the Earth: export it with its georeference")
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise BadImage(f"{name} is rotated or not north-up: warp it first (gdalwarp)")
    if max(abs(v) for v in dataset.bounds) > _FARTHEST:
        raise BadImage(f"{name} lies outside its coordinate reference system: check the CRS it was given")
    if min(dataset.res) < _LEAST_SIDE:
        raise BadImage(f"{name} has pixels without a size: export it with its georeference")
    return self_contained(CRS.from_wkt(dataset.crs.to_wkt()), name)


def pixel_facts(dataset: DatasetReader) -> dict[str, Any]:
    """Return what every image says of its pixels."""
    return {
        "driver": dataset.driver,
        "width": dataset.width,
        "height": dataset.height,
        "count": dataset.count,
        "dtype": dataset.dtypes[0],
        "bands": [_text(d) for d in dataset.descriptions],
        "colours": [c.name for c in dataset.colorinterp],
    }


def _facts(dataset: DatasetReader, crs: CRS, name: str) -> dict[str, Any]:
    placed = lonlat_bounds(dataset.bounds, crs_name(crs))
    if placed is None:
        raise BadImage(f"{name} lies outside its coordinate reference system: check the CRS it was given")
    tags = dataset.tags()
    return pixel_facts(dataset) | {
        "crs": crs_name(crs),
        "transform": list(dataset.transform[:6]),
        "resolution": list(dataset.res),
        "scales": [_number(v, 1.0) for v in dataset.scales],
        "offsets": [_number(v, 0.0) for v in dataset.offsets],
        "nodata": _nodata(dataset.nodata),
        "datetime": _text(tags.get("TIFFTAG_DATETIME")),
        "bounds": list(dataset.bounds),
        "lonlat_bounds": list(placed),
    }


def _text(value: str | None) -> str | None:
    return value[:100] if value else None


def _number(value: float, otherwise: float) -> float:
    return float(value) if math.isfinite(value) else otherwise


def _nodata(value: float | None) -> float | str | None:
    # JSON has no NaN; "nan" and "inf" are read back by float().
    if value is None or math.isfinite(value):
        return value
    return str(float(value))


def _check_complete(dataset: DatasetReader, size: int, name: str) -> None:
    """Raise BadImage unless every block lies inside the file and a sample of them, the last included, decodes."""
    rows, columns = dataset.block_shapes[0]
    down, across = math.ceil(dataset.height / rows), math.ceil(dataset.width / columns)
    if dataset.driver == "GTiff":
        _check_offsets(dataset, size, name, (down, across))
    picked = np.unique(np.linspace(0, down * across - 1, _SAMPLED_BLOCKS).astype(int))
    for index in picked:
        window = dataset.block_window(1, int(index) // across, int(index) % across)
        try:
            dataset.read(window=window)
        except RasterioError as error:
            msg = f"{name} is truncated or damaged: a block of pixels cannot be decoded; send it again"
            raise BadImage(msg) from error


def _check_offsets(dataset: DatasetReader, size: int, name: str, blocks: tuple[int, int]) -> None:
    down, across = blocks
    total = down * across
    separate = str(dataset.profile.get("interleave", "")).lower() != "pixel"
    bands = range(1, dataset.count + 1) if separate else range(1, 2)
    step = max(1, math.ceil(total * len(bands) / _CHECKED_BLOCKS))
    for band in bands:
        for index in {*range(0, total, step), total - 1}:
            place = f"{index % across}_{index // across}"
            offset = dataset.get_tag_item(f"BLOCK_OFFSET_{place}", "TIFF", bidx=band)
            length = dataset.get_tag_item(f"BLOCK_SIZE_{place}", "TIFF", bidx=band)
            if offset and length and int(offset) + int(length) > size:
                msg = f"{name} is truncated: its pixels reach beyond the end of the file; send it again"
                raise BadImage(msg)
