"""Names of bands, as files and catalogues spell them."""

from __future__ import annotations

import pytest

from jobs.scenes.bands import canonical, in_filename, in_text


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
