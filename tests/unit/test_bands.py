"""Names of bands, as files and catalogues spell them."""

from __future__ import annotations

import pytest

from jobs.scenes.bands import canonical, colours, in_filename, in_text


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("B02", "B02"),
        ("b2", "B02"),
        ("Band 2", None),
        ("blue", "B02"),
        ("B8A", "B8A"),
        ("b08a", "B8A"),
        ("nir08", "B8A"),
        ("nir", "B08"),
        ("B12", "B12"),
        ("swir22", "B12"),
        ("red_edge_1", "B05"),
        ("rededge1", "B05"),
        ("x", None),
        ("B13", None),
    ],
)
def test_spellings(text: str, band: str | None) -> None:
    assert canonical(text) == band


def test_band_in_a_file_name() -> None:
    assert in_filename("T32TMT_20260701T101559_B05_20m.jp2") == "B05"
    assert in_filename("B8A.tif") == "B8A"
    assert in_filename("cloud_mask.tif") is None
    assert in_filename("B02_B03.tif") is None
    assert in_text("B02 (blue)") == "B02"


@pytest.mark.parametrize(
    ("bands", "places"),
    [
        (("red", "green", "blue"), (0, 1, 2)),
        (("B02", "B03", "B04", "B08"), (2, 1, 0)),
        (("B04 spring", "B03 spring", "B02 spring", "B02 summer", "B04 summer", "B03 summer"), (4, 5, 3)),
        (("B04 winter", "B04 autumn", "B03 autumn", "B02 autumn", "B04 summer", "B03 summer"), (1, 2, 3)),
        (("B04 spring", "B03 summer", "B02 autumn"), None),
        (("VV", "VH"), None),
    ],
)
def test_the_colours_among_bands(bands: tuple[str, ...], places: tuple[int, int, int] | None) -> None:
    assert colours(bands) == places
