"""The pages and pictures a person opens, in a real browser."""

import re

import numpy as np
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


def test_preview_opens(finished, browse):
    _, outputs = finished
    assert is_drawn(browse(outputs["preview"].as_uri())[1])
