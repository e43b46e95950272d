"""The losses MAGNET is trained with: classes, branches, geography and trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name

from models.accuracy.metrics import SIMILARITY
from models.networks.magnet import Output, class_distances, wanted_trust
from models.priors import SCALES

SMOOTHING: Final = 0.08  # of a target's weight goes to similar classes


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each term counts beside the cross-entropy of the fused logits; a term of 0 is not computed."""

    branches: float = 0.3
    geography: float = 0.3
    trust: float = 0.1
    priors: float = 0.1


def total_loss(output: Output, labels: Tensor, weights: LossWeights) -> Tensor:
    """Return the scalar loss for labels (n, y, x) in 0-16; a node labelled -1 does not count."""
    use = labels >= 0
    targets = soft_targets().to(labels.device)[labels[use]]
    loss = _cross_entropy(output.logits, use, targets)
    if weights.branches:
        share = output.geography.share[:, 0]
        branches = _cross_entropy(output.spectral, use, targets)
        loss = loss + weights.branches * (branches + _cross_entropy(output.morphological, use, targets, share))
    if weights.geography:
        probabilities = torch.softmax(output.logits, dim=1)
        loss = loss + weights.geography * geographic_loss(probabilities, class_distances(output.geography))
    if weights.trust:
        loss = loss + weights.trust * trust_divergence(wanted_trust(output.geography), output.trust)
    return loss + weights.priors * _prior_error(output) if weights.priors else loss


def _prior_error(output: Output) -> Tensor:
    """Return the mean Huber loss of the predicted priors, each as far as it is known."""
    known, priors = output.geography.known, output.geography.priors
    scale = torch.as_tensor(SCALES, dtype=priors.dtype, device=priors.device).reshape(1, -1, 1, 1)
    wanted = (priors / scale).clamp(-3, 3)
    return (F.smooth_l1_loss(output.predicted, wanted, reduction="none", beta=0.1) * known).mean()


def geographic_loss(probabilities: Tensor, distances: Tensor) -> Tensor:
    """Return the mean over nodes of sum_c p_c D_c; both are (n, 17, y, x).

    Its gradient by a logit is p_c (D_c - sum_j p_j D_j) over the number of nodes.
    """
    return (probabilities * distances.detach()).sum(dim=1).mean()


def trust_divergence(wanted: Tensor, trust: Tensor) -> Tensor:
    """Return the mean KL(alpha* || alpha) of the two-way choice between the branches; 0 where both are 0."""
    a, b = wanted.detach().clamp(1e-6, 1 - 1e-6), trust.clamp(1e-6, 1 - 1e-6)
    return (a * torch.log(a / b) + (1 - a) * torch.log((1 - a) / (1 - b))).mean()


def soft_targets() -> Tensor:
    """Return targets (17, 17): 1 - SMOOTHING on the class, the rest on others by the sixth power of likeness."""
    alike = SIMILARITY**6 * (1 - np.eye(len(SIMILARITY)))
    spread = alike / alike.sum(axis=1, keepdims=True)
    return torch.as_tensor((1 - SMOOTHING) * np.eye(len(SIMILARITY)) + SMOOTHING * spread, dtype=torch.float32)


def _cross_entropy(logits: Tensor, use: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    chosen = logits.permute(0, 2, 3, 1)[use]
    each = -(targets * torch.log_softmax(chosen, dim=1)).sum(dim=1)
    counted = each if weight is None else each * weight[use]
    return counted.sum() / max(len(each), 1)
