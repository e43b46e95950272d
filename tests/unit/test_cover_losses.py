"""The losses of land cover, against PyTorch's own and by hand."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.training.landcover.crops import IGNORED  # noqa: E402 - after the check for torch
from models.training.landcover.losses import class_weights, cover_loss  # noqa: E402


@pytest.fixture
def batch() -> tuple:
    torch.manual_seed(0)
    labels = torch.randint(0, 9, (2, 6, 5))
    labels[:, :2] = IGNORED
    return torch.randn(2, 9, 6, 5, requires_grad=True), labels, torch.rand(9) + 0.5


def test_without_overlap_it_is_the_weighted_cross_entropy(batch: tuple):
    logits, labels, weights = batch
    expected = torch.nn.functional.cross_entropy(logits, labels, weights, ignore_index=IGNORED)
    assert torch.allclose(cover_loss(logits, labels, weights, 0.0), expected)


def test_ignored_pixels_have_no_gradient(batch: tuple):
    logits, labels, weights = batch
    cover_loss(logits, labels, weights, 0.5).backward()
    assert not logits.grad[:, :, :2].any()
    assert logits.grad[:, :, 2:].abs().sum() > 0
    logits.grad = None
    cover_loss(logits, torch.full_like(labels, IGNORED), weights, 0.5).backward()
    assert not logits.grad.any()


def test_the_overlap_is_one_less_dice_over_the_classes_there_are():
    labels = torch.tensor([[[0, 0, 3, IGNORED]]])
    right = torch.full((1, 9, 1, 4), -50.0)
    right[0, 0, 0, :2] = right[0, 3, 0, 2:] = 50.0
    nothing = torch.zeros(9)
    nothing[0] = 1e-9
    assert float(cover_loss(right, labels, nothing, 1.0)) == pytest.approx(0, abs=1e-4)
    one_class = torch.full((1, 9, 1, 4), -50.0)
    one_class[0, 0] = 50.0
    # Class 0: Dice 2 * 2 / (3 + 2); class 3: 0.
    assert float(cover_loss(one_class, labels, nothing, 1.0)) == pytest.approx((0.2 + 1) / 2, abs=1e-4)


def test_weights_of_classes_balance_their_shares():
    counts = np.array([500, 80, 0, 0, 20, 0, 0, 0, 0, 0])
    weights = class_weights(counts, 1.0)
    assert weights[0] * 80 == pytest.approx(weights[3] * 20)
    assert float(weights[0] * 0.8 + weights[3] * 0.2) == pytest.approx(1)
    assert not weights[[1, 2, 4, 5, 6, 7, 8]].any()
    assert class_weights(counts, 0.0)[[0, 3]].tolist() == [1, 1]
