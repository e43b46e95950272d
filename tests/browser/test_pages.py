"""The pages and pictures a person opens, in a real browser."""

import re

import numpy as np
import pytest
from PIL import Image


def is_drawn(picture) -> bool:
    with Image.open(picture) as image:
        return bool(np.asarray(image.convert("L"), float).std() > 10)


def test_factsheet_opens_whole_and_asks_nobody_else(finished, browse):
    _, outputs = finished
    dom, picture = browse(outputs["factsheet"].as_uri())
    assert "Local Climate Zones" in dom
    assert "<svg" in dom
    assert not re.findall(r'(?:src|href)="(?!data:|#)(?!https?://[^"]*"[^>]*>)', dom)
    assert is_drawn(picture)


@pytest.mark.parametrize("width", [1200, 400])
def test_landing_page_opens(stack, browse, width):
    dom, picture = browse(stack.url, width=width)
    assert "Cityzones" in dom
    assert is_drawn(picture)


def test_preview_opens(finished, browse):
    _, outputs = finished
    assert is_drawn(browse(outputs["preview"].as_uri())[1])
