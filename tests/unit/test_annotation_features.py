"""Features: the same wherever a mask lies and whatever its number, as scikit-image measures them, and always finite."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab
from skimage.measure import regionprops

from worker.annotation.features import FEATURES, describe_masks
from worker.annotation.masks import find_masks


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8)


def blobs(height: int, width: int) -> np.ndarray:
    """Labels 1.. of ellipses, bars and what lies between them."""
    y, x = np.mgrid[:height, :width]
    labels = np.ones((height, width), np.int32)
    labels[(y - 30) ** 2 / 400 + (x - 40) ** 2 / 900 < 1] = 2
    labels[60:70, 10:70] = 3
    labels[np.abs(y - x + 20) < 4] = 4
    labels[80:, 80:] = 5
    return labels


def described(image: np.ndarray, labels: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    return describe_masks(image, labels, np.ones(labels.shape, bool) if valid is None else valid)


def column(rows: np.ndarray, name: str) -> np.ndarray:
    return rows[:, FEATURES.index(name)]


def test_numbers_of_masks_do_not_matter():
    image, labels = noise(100, 120), blobs(100, 120)
    order = np.array([0, 4, 2, 5, 1, 3], np.int32)
    one, other = described(image, labels), described(image, order[labels])
    assert one.shape == (5, len(FEATURES))
    assert one.dtype == np.float32
    np.testing.assert_allclose(other[order[1:] - 1], one, rtol=1e-4, atol=1e-4)


def test_where_a_mask_lies_does_not_matter():
    rows = []
    for top, left in ((110, 120), (141, 113)):
        image, labels = np.full((3, 330, 340), 128, np.uint8), np.ones((330, 340), np.int32)
        image[:, top : top + 60, left : left + 60] = noise(60, 60)
        labels[top : top + 60, left : left + 60] = blobs(60, 60) + 1
        rows.append(described(image, labels)[1:])
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-3, atol=2e-3)


def test_shapes_are_those_of_scikit_image():
    labels = blobs(100, 120)
    rows = described(noise(100, 120), labels)
    props = regionprops(labels)
    np.testing.assert_allclose(np.exp(column(rows, "log_area")), [p.area for p in props], rtol=1e-5)
    np.testing.assert_allclose(column(rows, "extent"), [p.extent for p in props], rtol=1e-5)
    # Theirs are pixels without a size; ours have the variance of the unit square.
    longer, shorter = (
        np.sqrt(np.square([getattr(p, f"axis_{which}_length") for p in props]) + 16 / 12)
        for which in ("major", "minor")
    )
    np.testing.assert_allclose(np.exp(column(rows, "log_width")), shorter, rtol=1e-4)
    np.testing.assert_allclose(column(rows, "elongation"), longer / shorter, rtol=1e-4)
    bar = labels == 3
    sides = sum(int((np.pad(bar, 1) != np.roll(np.pad(bar, 1), 1, axis)).sum()) for axis in (0, 1))
    np.testing.assert_allclose(column(rows, "compactness")[2], 4 * np.pi * bar.sum() / sides**2, rtol=1e-5)


def test_an_upright_rectangle_fills_its_rectangles():
    labels = np.ones((60, 60), np.int32)
    labels[10:20, 10:45] = 2
    rows = described(noise(60, 60), labels)
    assert column(rows, "rectangularity")[1] == pytest.approx(1, abs=1e-5)
    assert column(rows, "extent")[1] == 1
    assert column(rows, "elongation")[1] == pytest.approx(3.5, abs=1e-4)


def test_colours_are_those_of_the_pixels():
    image, labels = noise(100, 120), blobs(100, 120)
    lab = rgb2lab(np.moveaxis(image, 0, -1))
    rows = described(image, labels)
    for band, name in enumerate("lab"):
        values = [lab[..., band][labels == number] for number in range(1, 6)]
        np.testing.assert_allclose(column(rows, name), [v.mean() for v in values], atol=1e-3)
        np.testing.assert_allclose(column(rows, f"{name}_spread"), [v.std() for v in values], rtol=1e-3)


def test_the_ring_is_what_touches():
    labels = np.ones((40, 60), np.int32)
    labels[:, 20:40], labels[:, 40:] = 2, 3
    image = np.zeros((3, 40, 60), np.uint8)
    image[:, :, 20:40], image[:, :, 40:] = 128, 255
    rows = described(image, labels)
    light = column(rows, "l")
    np.testing.assert_allclose(column(rows, "l_ring"), [light[1], (light[0] + light[2]) / 2, light[1]], rtol=1e-5)
    np.testing.assert_allclose(column(rows, "l_over_ring"), light - column(rows, "l_ring"), atol=1e-4)
    assert column(rows, "ring_darkest")[1] == pytest.approx(-light[1], abs=1e-3)
    assert column(rows, "ring_brightest").tolist()[2] == 0
    assert not column(rows, "ring_none").any()
    alone = described(image, np.ones((40, 60), np.int32))
    assert column(alone, "ring_none").tolist() == [1]
    assert column(alone, "l_ring") == column(alone, "l")


def test_directions_tell_stripes_from_corners_and_noise():
    stripes = np.tile((np.arange(64) // 4 % 2 * 200).astype(np.uint8), (3, 64, 1))
    checks = stripes ^ np.swapaxes(stripes, 1, 2)
    one = np.ones((64, 64), np.int32)
    found = {name: described(image, one) for name, image in (("s", stripes), ("c", checks), ("n", noise(64, 64)))}
    assert column(found["s"], "coherence")[0] > 0.9
    assert column(found["c"], "coherence")[0] < 0.2 < column(found["c"], "corners")[0]
    assert column(found["n"], "corners")[0] < 0.2


def test_pixels_that_are_not_valid_do_not_matter():
    labels, valid = blobs(100, 120), np.ones((100, 120), bool)
    valid[:, 90:], labels[:, 90:] = False, 0
    image = noise(100, 120)
    other = image.copy()
    other[:, :, 90:] = 255
    assert described(image, labels, valid).tobytes() == described(other, labels, valid).tobytes()


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (3, 2), (90, 110)])
@pytest.mark.parametrize("flat", [False, True])
def test_features_of_any_image_are_finite(shape: tuple[int, int], flat: bool):
    image = np.full((3, *shape), 90, np.uint8) if flat else noise(*shape)
    masks = find_masks(image, np.ones(shape, bool))
    rows = described(image, masks.labels)
    assert rows.shape == (masks.count, len(FEATURES))
    assert np.isfinite(rows).all()


def test_no_mask_has_no_features():
    nothing = np.zeros((50, 50), np.int32)
    assert described(noise(50, 50), nothing, np.zeros((50, 50), bool)).shape == (0, len(FEATURES))


def test_other_shapes_and_types_are_refused():
    with pytest.raises(ValueError, match="masks are described in"):
        describe_masks(np.zeros((5, 5, 3), np.uint8), np.ones((5, 5), np.int32), np.ones((5, 5), bool))
