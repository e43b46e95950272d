"""A tile of five thousand masks goes through every step."""

from __future__ import annotations

import numpy as np

from worker.annotation.clusters import standardised, tree_of
from worker.annotation.features import describe_masks
from worker.annotation.masks import find_masks

SQUARE, ACROSS = 12, 72


def test_five_thousand_masks_in_one_tile() -> None:
    colours = np.random.default_rng(1).integers(0, 256, (ACROSS, ACROSS, 3))
    image = np.kron(np.moveaxis(colours, -1, 0), np.ones((1, SQUARE, SQUARE))).astype(np.uint8)
    valid = np.ones(image.shape[1:], bool)
    masks = find_masks(image, valid)
    assert masks.count > 5000
    features = standardised(describe_masks(image, masks.labels, valid))
    tree = tree_of(np.arange(masks.count), features)
    clusters = [tree.masks_of(node) for node in tree.cut(200)]
    assert sorted(np.concatenate(clusters)) == list(range(masks.count))
