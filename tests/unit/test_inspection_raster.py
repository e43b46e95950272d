"""Images are judged by their content, and no damage ends in anything but one of the project's errors."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

from jobs.errors import BadImage, MissingCrs, UnsupportedFormat, UploadTooLarge
from jobs.inspection import inspect_file, safe_raster
from jobs.settings import Settings
from models.errors import CityzonesError
from tests.unit.imagery_samples import BANDS, city, write

SETTINGS = Settings()


def test_facts_of_a_geotiff(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bin", city(40, 50), names=BANDS, nodata=0, tiled=True, blockxsize=16, blockysize=16)
    seen = inspect_file(path, "a.bin", SETTINGS)
    assert (seen.kind, seen.suffix) == ("image", ".tif")
    facts = seen.facts
    assert (facts["width"], facts["height"], facts["count"], facts["dtype"]) == (50, 40, 10, "uint16")
    assert facts["crs"] == "EPSG:32632"
    assert facts["bands"] == list(BANDS)
    assert facts["nodata"] == 0
    west, south, east, north = facts["lonlat_bounds"]
    assert 10.3 < west < east < 10.4
    assert 47.8 < south < north < 47.9


@pytest.mark.parametrize(
    "options",
    [
        {"driver": "COG", "compress": "deflate"},
        {"BIGTIFF": "YES", "compress": "zstd"},
        {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"},
    ],
)
def test_other_flavours(tmp_path: Path, options: dict[str, str]) -> None:
    name = "a.jp2" if "QUALITY" in options else "a.tif"
    path = write(tmp_path / name, city(300, 300, bands=3), **options)
    seen = inspect_file(path, "a.tif", SETTINGS)
    assert seen.facts["count"] == 3
    assert seen.suffix == (".jp2" if "QUALITY" in options else ".tif")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'<VRTDataset rasterXSize="1"><SourceFilename>/etc/passwd</SourceFilename></VRTDataset>', "VRT"),
        (b"\xef\xbb\xbf  <?xml version='1.0'?><VRTDataset>", "VRT"),
        (b"<kml></kml>", "XML"),
        (b"PK\x03\x04abc", "ZIP"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"just some text\n", "text"),
        (b"SQLite format 3\0" + bytes(100), "SQLite"),
        (bytes(257) + b"ustar", "tar"),
        (b"\x07\x01\x99\xfe", "unknown"),
        (b"", "empty"),
    ],
)
def test_refused_formats_say_what_was_found(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "image.tif"
    path.write_bytes(content)
    with pytest.raises(UnsupportedFormat, match=told) as caught:
        inspect_file(path, "image.tif", SETTINGS)
    assert "GeoTIFF" in caught.value.detail


def test_zipped_shapefile_says_geopackage(tmp_path: Path) -> None:
    path = tmp_path / "parcels.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("parcels.shp", b"\0\0\x27\x0a")
    with pytest.raises(UnsupportedFormat, match="GeoPackage"):
        inspect_file(path, "../../parcels.zip", SETTINGS)


def test_no_crs(tmp_path: Path) -> None:
    with pytest.raises(MissingCrs, match=r"a\.tif"):
        inspect_file(write(tmp_path / "a.tif", city(8, 8), crs=None), "a.tif", SETTINGS)


def test_a_crs_that_counts_from_the_earths_centre(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", city(8, 8), crs="EPSG:4978")
    with pytest.raises(MissingCrs, match=r"a\.tif has a geocentric CRS"):
        inspect_file(path, "a.tif", SETTINGS)


def test_rotated(tmp_path: Path) -> None:
    turned = Affine.translation(600_000, 5_300_000) * Affine.rotation(10) * Affine.scale(10, -10)
    with pytest.raises(BadImage, match="rotated"):
        inspect_file(write(tmp_path / "a.tif", city(8, 8), transform=turned), "a.tif", SETTINGS)


def test_south_up(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="north-up"):
        inspect_file(write(tmp_path / "a.tif", city(8, 8), transform=Affine(10, 0, 6e5, 0, 10, 5e6)), "a", SETTINGS)


def test_complex_numbers(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="complex"):
        inspect_file(write(tmp_path / "a.tif", np.ones((1, 8, 8), np.complex64)), "a.tif", SETTINGS)


def test_coordinates_outside_the_crs(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="outside its coordinate"):
        inspect_file(write(tmp_path / "a.tif", city(8, 8), crs="EPSG:4326", left=600_000), "a.tif", SETTINGS)


def test_too_many_pixels(tmp_path: Path) -> None:
    with pytest.raises(UploadTooLarge, match="more than 1000"):
        inspect_file(write(tmp_path / "a.tif", city(40, 40)), "a.tif", Settings(max_pixels=1000))


def test_bomb_is_seen_in_the_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    profile = {
        "driver": "GTiff",
        "count": 1,
        "height": 20_000,
        "width": 20_000,
        "dtype": "uint16",
        "crs": "EPSG:32632",
        "transform": Affine(10, 0, 6e5, 0, -10, 53e5),
        "SPARSE_OK": "TRUE",
        "tiled": True,
    }
    with rasterio.open(path, "w", **profile):
        pass
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UploadTooLarge, match="times its size"):
        inspect_file(path, "bomb.tif", SETTINGS)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"},
        {"compress": "lzw"},
        {"driver": "COG"},
        {"interleave": "band"},
    ],
)
@pytest.mark.parametrize("kept", [0.5, 0.9, 0.999])
def test_truncated(tmp_path: Path, options: dict[str, object], kept: float) -> None:
    whole = write(tmp_path / "whole.tif", city(256, 256, bands=3), **options).read_bytes()
    path = tmp_path / "cut.tif"
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(BadImage, match=r"truncated|damaged"):
        inspect_file(path, "cut.tif", SETTINGS)


def test_sidecars_are_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", city(8, 8), crs=None)
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:32632</SRS></PAMDataset>")
    (tmp_path / "a.tfw").write_text("10\n0\n0\n-10\n600000\n5300000\n")
    (tmp_path / "a.prj").write_text('LOCAL_CS["x"]')
    with pytest.raises(MissingCrs):
        inspect_file(path, "a.tif", SETTINGS)


def test_damage_while_reading_is_an_error_of_ours(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.arange(65536, dtype=np.float64).reshape(1, 256, 256) ** 0.5, compress="lzw")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2000] = b"\xff" * 2000
    path.write_bytes(bytes(content))
    with pytest.raises(BadImage), safe_raster(path) as dataset:
        dataset.read()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_headers_end_in_our_errors(tmp_path: Path, data: st.DataObject) -> None:
    flavour = data.draw(st.sampled_from([{"compress": "deflate"}, {"tiled": True, "blockxsize": 16, "blockysize": 16}]))
    content = bytearray(write(tmp_path / "seed.tif", city(32, 32, bands=2), nodata=0, **flavour).read_bytes())
    edges = st.one_of(st.integers(4, 600), st.integers(max(4, len(content) - 600), len(content) - 1))
    for _ in range(data.draw(st.integers(1, 6))):
        content[min(data.draw(edges), len(content) - 1)] = data.draw(st.integers(0, 255))
    path = tmp_path / "mutated.tif"
    path.write_bytes(bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))]))
    try:
        facts = inspect_file(path, "mutated.tif", SETTINGS).facts
    except CityzonesError:
        return
    assert facts["width"] > 0


def _headers(path: Path, *entries: tuple[int, int, int, int], directories: int = 1, big: bool = False) -> Path:
    """Write a TIFF of headers only: so many directories, each of the usual tags and these (tag, type, count, value)."""
    usual = [(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    one = struct.Struct("<HHQQ" if big else "<HHII")
    tags, offset = ("<Q", "<Q") if big else ("<H", "<I")
    packed = b"".join(one.pack(*entry) for entry in sorted([*usual, *entries]))
    at = 16 if big else 8
    head = b"II+\0\x08\0\0\0" + struct.pack("<Q", at) if big else b"II*\0" + struct.pack("<I", at)
    body = bytearray(head)
    for number in range(directories):
        body += struct.pack(tags, len(packed) // one.size) + packed
        following = len(body) + struct.calcsize(offset) if number < directories - 1 else 0
        body += struct.pack(offset, following)
    path.write_bytes(body)
    return path


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("entries", "directories", "said"),
    [
        ([(42112, 2, 1_500_000_000, 1000)], 1, "holds a tag of 1500000000 bytes"),
        ([(324, 4, 60_000_000, 1000)], 1, "cut into 60000000 blocks"),
        ([(273, 4, 1, 400)], 3000, "headers without end"),
        ([(700, 1, 1, 0)] * 5000, 1, "headers without end"),
    ],
)
def test_headers_that_would_fill_the_memory(
    tmp_path: Path, entries: list[tuple[int, int, int, int]], directories: int, said: str, *, big: bool
) -> None:
    path = _headers(tmp_path / "a.tif", *entries, directories=directories, big=big)
    with pytest.raises(BadImage, match=said):
        inspect_file(path, "a.tif", SETTINGS)


def test_directories_that_lead_back_to_themselves_end(tmp_path: Path) -> None:
    path = _headers(tmp_path / "a.tif", (273, 4, 1, 400), directories=2)
    data = bytearray(path.read_bytes())
    data[-4:] = struct.pack("<I", 8)
    path.write_bytes(data)
    with pytest.raises(CityzonesError):
        inspect_file(path, "a.tif", SETTINGS)


def test_what_lies_beside_a_file_is_not_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", city(64, 64, bands=1))
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset><Metadata><MDI key='x'>y</MDI></Metadata></PAMDataset>")
    (tmp_path / "a.tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    write(tmp_path / "a.tif.ovr", city(32, 32, bands=1))
    write(tmp_path / "a.tif.msk", city(64, 64, bands=1))
    with safe_raster(path) as dataset:
        assert dataset.files == [str(path)]
        assert dataset.overviews(1) == []
        assert dataset.transform.a == 10
        assert "x" not in dataset.tags()
