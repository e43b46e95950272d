"""A classifier that learns from the masks a person has labelled, predicts the others, and says how sure it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold

from models.accuracy.calibration import fit_temperature, tempered

Codes = NDArray[np.uint8]
Probabilities = NDArray[np.float64]

LEAST: Final = 20
"""Labelled masks, of two classes at least, from which on anything is predicted."""
_FOLDS: Final = 3
_ROUNDS: Final = 80
_RATE: Final = 0.1
_LEAVES: Final = 31
_CONFIDENT: Final = 0.5  # the share that is accepted where no accuracy is asked for


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a classifier says of n masks.

    `codes` (n,) uint8 is the class of each mask, its label where it has one; 0 where nothing can be said. `confidence`
    (n,) float32, 0-1, is the probability that a code is right: 1 for labels, 0 for code 0. `accepted` (n,) bool are the
    predictions to be taken as they are, `queue` (m,) int64 the numbers of the other masks without a label, those whose
    label would teach most first.
    """

    codes: Codes
    confidence: NDArray[np.float32]
    accepted: NDArray[np.bool_]
    queue: NDArray[np.int64]


def predict(
    features: NDArray[np.float32],
    codes: Codes,
    neighbourhoods: NDArray[np.int64],
    *,
    accuracy: float | None = None,
    seed: int = 0,
) -> Predictions:
    """Learn from the masks with a code and predict those of code 0; the same input and seed give the same.

    `features` (n, feature), `codes` (n,), `neighbourhoods` (n,). Confidences are calibrated by a temperature on what
    models say of neighbourhoods they have not seen. With an `accuracy` as many predictions are accepted as are
    expected to be right in that share, the surest first; without one the surer half. Fewer than LEAST labels, or of
    one class alone, predict nothing. The queue is in the order of the margin between the two likeliest classes
    (T. Scheffer, C. Decomain, S. Wrobel, Active hidden Markov models for information extraction, IDA 2001).
    Raises ValueError for arrays of different lengths and an accuracy beyond 0-1.
    """
    _check(features, codes, neighbourhoods, accuracy)
    labelled, others = np.flatnonzero(codes), np.flatnonzero(codes == 0)
    found, confidence = codes.copy(), (codes > 0).astype(np.float32)
    accepted = np.zeros(len(codes), np.bool_)
    classes, index = np.unique(codes[labelled], return_inverse=True)
    if len(labelled) < LEAST or len(classes) < 2 or not len(others):  # noqa: PLR2004 - one class is no choice
        return Predictions(found, confidence, accepted, others)
    known = features[labelled]
    temperature = _temperature(known, index, neighbourhoods[labelled], seed)
    probabilities = tempered(_learn(known, index, seed).predict_proba(features[others]), temperature)
    first, second = -np.partition(-probabilities, 1, axis=1)[:, :2].T
    found[others], confidence[others] = classes[probabilities.argmax(axis=1)], first
    accepted[others] = _accepted(first, accuracy)
    order = np.argsort(first - second, kind="stable")
    return Predictions(found, confidence, accepted, others[order][~accepted[others][order]])


def _check(
    features: NDArray[np.float32], codes: Codes, neighbourhoods: NDArray[np.int64], accuracy: float | None
) -> None:
    if not len(features) == len(codes) == len(neighbourhoods):
        raise ValueError(
            f"{len(features)} rows of features, {len(codes)} codes and {len(neighbourhoods)} neighbourhoods; "
            "every mask has one of each"
        )
    if accuracy is not None and not 0 < accuracy <= 1:
        raise ValueError(f"an accuracy of {accuracy}; it is above 0 and at most 1")


def _learn(features: NDArray[np.float32], index: NDArray[np.int64], seed: int) -> HistGradientBoostingClassifier:
    """Fit boosted trees to classes 0.. (n,); of few masks the leaves are smaller."""
    model = HistGradientBoostingClassifier(
        max_iter=_ROUNDS,
        learning_rate=_RATE,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=int(np.clip(len(index) // 20, 1, 20)),
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    return model.fit(features, index)


def _temperature(
    features: NDArray[np.float32], index: NDArray[np.int64], neighbourhoods: NDArray[np.int64], seed: int
) -> float:
    """Return by how much models are too sure of what they have not seen; 1 where that cannot be told."""
    unseen = np.zeros((len(index), int(index.max()) + 1))
    for train, test in _folds(neighbourhoods, seed):
        present = np.unique(index[train])
        if len(present) > 1:
            model = _learn(features[train], np.searchsorted(present, index[train]), seed)
            unseen[test[:, None], present] = model.predict_proba(features[test])
    told = unseen[np.arange(len(index)), index] > 0  # else its class was in no neighbourhood to learn from
    return fit_temperature(unseen[told], index[told]) if told.any() else 1.0


def _folds(neighbourhoods: NDArray[np.int64], seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield numbers to learn from and to test on: whole neighbourhoods apart where there are enough of them."""
    apart = neighbourhoods if len(np.unique(neighbourhoods)) >= _FOLDS else np.arange(len(neighbourhoods))
    yield from GroupKFold(_FOLDS, shuffle=True, random_state=seed).split(apart, groups=apart)


def _accepted(confidence: Probabilities, accuracy: float | None) -> NDArray[np.bool_]:
    """Return which predictions (n,) are taken: the surest whose mean confidence is at least `accuracy`, or half."""
    order = np.argsort(-confidence, kind="stable")
    if accuracy is None:
        count = int(len(order) * _CONFIDENT)
    else:
        means = np.cumsum(confidence[order]) / np.arange(1, len(order) + 1)
        count = int(np.searchsorted(-means, -accuracy, side="right"))
    accepted = np.zeros(len(order), np.bool_)
    accepted[order[:count]] = True
    return accepted
