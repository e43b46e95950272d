"""What networks of land cover minimise: cross-entropy weighted by class, and the overlap of each class."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name

from models.training.landcover.crops import IGNORED


def class_weights(counts: NDArray[np.integer[Any]], power: float) -> Tensor:
    """Return weights (9,) of the classes from pixels by code (10,): share^-power, of mean 1 over pixels; 0 of none."""
    shares = counts[1:] / max(int(counts[1:].sum()), 1)
    weights = np.where(shares > 0, np.maximum(shares, 1e-6) ** -power, 0)
    return torch.tensor(weights / (weights * shares).sum(), dtype=torch.float32)


def cover_loss(logits: Tensor, labels: Tensor, weights: Tensor, overlap: float) -> Tensor:
    """Return the scalar loss of logits (n, 9, y, x) for labels (n, y, x), 0-8; pixels labelled IGNORED do not count.

    `overlap` is how much the overlaps count beside the cross-entropy.
    """
    use = labels != IGNORED
    told = torch.log_softmax(logits, dim=1)
    each = F.nll_loss(told, labels, weights, ignore_index=IGNORED, reduction="sum")
    loss = each / weights[labels[use]].sum().clamp_min(1e-6)
    return loss + overlap * _missed_overlap(told.exp(), labels, use) if overlap else loss


def _missed_overlap(shares: Tensor, labels: Tensor, use: Tensor) -> Tensor:
    """Return the mean over the batch's classes of 1 - soft Dice (Milletari et al. 2016), over its labelled pixels."""
    index, classes = labels.clamp_min(0), shares.shape[1]
    own = (shares.gather(1, index[:, None])[:, 0] * use).flatten()
    both = shares.new_zeros(classes).index_add(0, index.flatten(), own)
    mapped = torch.einsum("ncyx,nyx->c", shares, use.to(shares.dtype))
    truth = torch.bincount(labels[use], minlength=classes)
    there = truth > 0
    return (1 - 2 * both[there] / (mapped + truth)[there].clamp_min(1.0)).mean() if bool(there.any()) else both.sum()
