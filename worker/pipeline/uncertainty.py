"""How sure a map is and why, pixel by pixel: what the five bands of the `uncertainty` output hold.

Top probability, entropy and second class are those of the unit that decided the pixel: the mean over its parcel or
block, the node of its scene cell, or the pixel itself. The share of the buildings and the geographic consistency are
the pixel's own, as they tell of the place and not of the vote.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.plan import Block
from jobs.products import DOUBTS, UNSURE
from models.cards import Card
from models.consistency import UNKNOWN
from worker.parcels.units import BLOCK, PARCEL, PIXEL, SCENE, Decided, Verdicts
from worker.pipeline import probabilities, reasons

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one block was decided from: its nodes' probabilities (class, y, x), and reasons if the job keeps them."""

    probabilities: Bytes
    reasons: Bytes | None


def uncertainty_of(decided: Decided, evidence: Evidence, verdicts: Verdicts | None, block: Block, card: Card) -> Bytes:
    """Return the five bands of one block, (band, y, x), UNSURE where there is no class or nothing is known."""
    shape = decided.map.shape
    out = np.full((len(DOUBTS), *shape), UNSURE, np.uint8)
    out[0] = decided.confidence
    by_pixel = _doubts(probabilities.at_pixels(evidence.probabilities, block, card), card)
    scenes = _doubts(probabilities.at_scenes(evidence.probabilities, block, card), card)
    side = card.geometry.scene
    by_scene = scenes.repeat(side, axis=1).repeat(side, axis=2)[:, : shape[0], : shape[1]]
    for unit, planes in ((PIXEL, by_pixel), (SCENE, by_scene)):
        out[1:3] = np.where(decided.units == unit, planes, out[1:3])
    if verdicts is not None:
        mine = (decided.units == PARCEL) | (decided.units == BLOCK)
        row = decided.parcel[mine]
        out[1][mine] = np.rint(100 * verdicts.entropy[row])
        out[2][mine] = verdicts.second[row]
    if evidence.reasons is not None:
        # A parcel also fills its pixels without imagery; of those the network knows nothing.
        any_node: Bytes = evidence.probabilities.max(axis=0, keepdims=True)
        seen = probabilities.at_pixels(any_node, block, card)[0] > 0
        told = _reasons(probabilities.at_pixels(evidence.reasons, block, card), decided.map, card)
        out[3:5] = np.where(seen, told, UNSURE)
    return np.where(decided.map > 0, out, UNSURE).astype(np.uint8)


def _doubts(values: Bytes, card: Card) -> Bytes:
    """Return normalised entropy in percent and the second class's code, (2, y, x), of values (class, y, x)."""
    total = values.sum(axis=0, dtype=np.uint32)
    shares = values / np.maximum(total, 1).astype(np.float32)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy = np.abs((shares * logs).sum(axis=0)) / np.log(len(values))
    rest = values.copy()
    np.put_along_axis(rest, values.argmax(axis=0)[None], 0, axis=0)
    codes = np.array([c.code for c in card.classes], np.uint8)
    second = np.where(rest.max(axis=0) > 0, codes[rest.argmax(axis=0)], 0)
    return np.stack((np.rint(100 * entropy), second)).astype(np.uint8)


def _reasons(values: Bytes, classes: Bytes, card: Card) -> Bytes:
    """Return alpha_m in percent and the consistency of each pixel's class, (2, y, x)."""
    has_weight = reasons.WEIGHT in card.serving.extras
    weight = np.rint(values[0] / 2.55) if has_weight else np.full(classes.shape, UNSURE)
    place = {c.code: k for k, c in enumerate(card.classes, start=1)}
    layer = np.array([place.get(code, 1) for code in range(256)])[classes]
    fit = np.take_along_axis(values, layer[None], axis=0)[0]
    return np.stack((weight, np.where(fit == UNKNOWN, UNSURE, fit))).astype(np.uint8)
