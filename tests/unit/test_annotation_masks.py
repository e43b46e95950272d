"""Masks: a partition of what is valid, the same each time, of any size, and as good as scikit-image's segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.segmentation import felzenszwalb

from worker.annotation.masks import OVERLAP, TILE, Masks, find_masks
from worker.annotation.segments import Level, segment


def patchwork(height: int, width: int, patch: int = 40, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    colours = draw.integers(0, 256, (3, height // patch + 1, width // patch + 1), dtype=np.uint8)
    return np.ascontiguousarray(colours.repeat(patch, 1).repeat(patch, 2)[:, :height, :width])


def found(image: np.ndarray, valid: np.ndarray | None = None) -> Masks:
    return find_masks(image, np.ones(image.shape[1:], bool) if valid is None else valid)


def check(masks: Masks, valid: np.ndarray) -> None:
    assert masks.labels.dtype == np.int32
    assert masks.scores.dtype == np.float32
    assert ((masks.labels > 0) == valid).all()
    numbers, first = np.unique(masks.labels[valid], return_index=True)
    assert numbers.tolist() == list(range(1, masks.count + 1))
    assert (np.diff(first) > 0).all()
    assert ((masks.scores >= 0) & (masks.scores <= 1)).all()


def test_patches_of_one_colour_are_masks():
    image = patchwork(200, 240)
    masks = found(image)
    check(masks, np.ones((200, 240), bool))
    insides = {
        tuple(np.unique(masks.labels[y + 4 : y + 36, x + 4 : x + 36]))
        for y in range(0, 200, 40)
        for x in range(0, 240, 40)
    }
    assert all(len(inside) == 1 for inside in insides)
    assert len(insides) == 30


def test_the_same_image_gives_the_same_masks():
    image = np.random.default_rng(3).integers(0, 256, (3, 150, 170), dtype=np.uint8)
    one, two = found(image), found(image.copy())
    assert one.labels.tobytes() == two.labels.tobytes()
    assert one.scores.tobytes() == two.scores.tobytes()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 5), (129, 2), (1030, 40), (40, 1025), (1024, 128)])
def test_images_of_any_size(shape: tuple[int, int]):
    valid = np.ones(shape, bool)
    check(found(np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8)), valid)
    flat = found(np.full((3, *shape), 90, np.uint8))
    check(flat, valid)
    assert flat.count == 1


def test_nodata_is_in_no_mask_and_parts_masks():
    image = np.full((3, 100, 100), 90, np.uint8)
    valid = np.ones((100, 100), bool)
    valid[:, 48:52] = False
    image[:, ~valid] = 255
    masks = find_masks(image, valid)
    check(masks, valid)
    assert masks.count == 2
    nothing = find_masks(image, np.zeros((100, 100), bool))
    assert nothing.count == 0
    assert not nothing.labels.any()


def test_masks_over_seams_are_one():
    image = patchwork(200, 2 * TILE - OVERLAP + 60, 100)
    masks = found(image)
    check(masks, np.ones(image.shape[1:], bool))
    for seam in (TILE - OVERLAP // 2, TILE - OVERLAP + TILE - OVERLAP // 2):
        for top in range(0, 200, 100):
            assert len(np.unique(masks.labels[top + 4 : top + 96, seam - 20 : seam + 20])) == 1


def test_one_colour_over_many_tiles_is_one_mask():
    assert found(np.full((3, TILE + 6, TILE + 6), 120, np.uint8)).count == 1


def test_other_shapes_and_types_are_refused():
    with pytest.raises(ValueError, match="stretch the image first"):
        find_masks(np.zeros((3, 5, 5), np.uint16), np.ones((5, 5), bool))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="stretch the image first"):
        find_masks(np.zeros((1, 5, 5), np.uint8), np.ones((5, 5), bool))


def test_segments_agree_with_scikit_image():
    draw = np.random.default_rng(5)
    image = np.clip(patchwork(256, 256, 32) + draw.normal(0, 12, (3, 256, 256)), 0, 255).astype(np.uint8)
    ours = segment(image, np.ones((256, 256), bool), (Level(60.0, 80),), 0.8)[0]
    theirs = felzenszwalb(np.moveaxis(image, 0, -1), scale=60, sigma=0.8, min_size=80) + 1
    assert abs(ours.max() / theirs.max() - 1) < 0.05
    pairs, shared = np.unique(ours.astype(np.int64) * 100_000 + theirs, return_counts=True)
    best = np.zeros(ours.max() + 1)
    np.maximum.at(best, pairs // 100_000, shared)
    assert best.sum() / ours.size > 0.97


@pytest.mark.real_data
def test_a_real_image_and_its_ceiling(shared_data: Path):
    folder = shared_data / "dubai_landcover" / "tile5"
    image = np.asarray(Image.open(folder / "images" / "image_part_005.jpg").convert("RGB"))
    truth = np.asarray(Image.open(folder / "masks" / "image_part_005.png").convert("RGB")).astype(np.int64)
    codes = np.unique(truth[..., 0] << 8 | truth[..., 1], return_inverse=True)[1].reshape(truth.shape[:2])
    masks = found(np.ascontiguousarray(np.moveaxis(image, -1, 0)))
    counts = np.bincount((masks.labels * 16 + codes).ravel(), minlength=(masks.count + 1) * 16)
    assert counts.reshape(-1, 16).max(axis=1).sum() / codes.size > 0.96
    assert masks.count < 2000
