"""The classifier: better than chance where classes part, as sure as it is right, and silent where it knows nothing."""

from __future__ import annotations

import numpy as np
import pytest

from worker.annotation.classifier import LEAST, Predictions, _accepted, predict

BLOCKS = 12


def scene(count: int = 1000, overlap: float = 1.6, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, true codes and neighbourhoods of three classes that overlap."""
    draw = np.random.default_rng(seed)
    codes = draw.choice(np.array([2, 5, 8], np.uint8), count)
    centres = {2: (0, 0), 5: (3, 0), 8: (0, 3)}
    features = np.array([centres[code] for code in codes.tolist()]) + draw.normal(0, overlap, (count, 2))
    noise = draw.normal(0, 1, (count, 4))
    return np.hstack([features, noise]).astype(np.float32), codes, draw.integers(0, BLOCKS, count)


def hidden(codes: np.ndarray, share: float = 0.3) -> np.ndarray:
    return np.where(np.random.default_rng(1).random(len(codes)) < share, codes, 0).astype(np.uint8)


def check(found: Predictions, labels: np.ndarray) -> None:
    count = len(labels)
    assert [found.codes.shape, found.confidence.shape, found.accepted.shape] == [(count,)] * 3
    assert (found.codes[labels > 0] == labels[labels > 0]).all()
    assert not found.accepted[labels > 0].any()
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    rest = np.flatnonzero((labels == 0) & ~found.accepted)
    assert np.sort(found.queue).tolist() == rest.tolist()


@pytest.fixture(scope="module")
def overlapping() -> tuple[np.ndarray, np.ndarray, Predictions]:
    features, codes, blocks = scene()
    labels = hidden(codes)
    return codes, labels, predict(features, labels, blocks)


def test_it_learns_what_parts_the_classes():
    features, codes, blocks = scene(200, 0.5)
    labels = hidden(codes)
    found = predict(features, labels, blocks)
    check(found, labels)
    assert (found.codes == codes)[labels == 0].mean() > 0.95


def test_it_is_as_sure_as_it_is_right(overlapping: tuple[np.ndarray, np.ndarray, Predictions]):
    codes, labels, found = overlapping
    check(found, labels)
    others = labels == 0
    right, sure = (found.codes == codes)[others], found.confidence[others]
    assert abs(right.mean() - sure.mean()) < 0.05
    for low, high in ((0.4, 0.7), (0.7, 0.9), (0.9, 1.01)):
        bin_ = (sure >= low) & (sure < high)
        assert abs(right[bin_].mean() - sure[bin_].mean()) < 0.1


def test_the_surer_half_is_accepted_and_the_least_sure_asked_first(
    overlapping: tuple[np.ndarray, np.ndarray, Predictions],
):
    codes, labels, found = overlapping
    others = np.flatnonzero(labels == 0)
    assert found.accepted.sum() == len(others) // 2
    assert found.confidence[found.accepted].min() >= found.confidence[found.queue].max()
    assert found.confidence[found.queue[:20]].mean() < found.confidence[found.queue[-20:]].mean()
    right = found.codes == codes
    assert right[found.accepted].mean() > right[others].mean() + 0.05


def test_what_is_accepted_is_as_right_as_asked():
    features, codes, blocks = scene()
    labels = hidden(codes)
    found = predict(features, labels, blocks, accuracy=0.9)
    check(found, labels)
    assert abs((found.codes == codes)[found.accepted].mean() - 0.9) < 0.04
    assert found.confidence[found.accepted].mean() >= 0.9


def test_as_many_are_accepted_as_the_accuracy_allows():
    confidence = np.array([0.5, 0.9, 1.0, 0.8])
    assert _accepted(confidence, 0.95).tolist() == [False, True, True, False]
    assert _accepted(confidence, 0.3).all()
    assert not _accepted(confidence[:1], 0.6).any()
    assert _accepted(confidence, None).tolist() == [False, True, True, False]


def test_the_same_seed_gives_the_same():
    features, codes, blocks = scene(100)
    one, two = (predict(features, hidden(codes), blocks, seed=7) for _ in range(2))
    assert one.confidence.tobytes() == two.confidence.tobytes()
    assert one.queue.tolist() == two.queue.tolist()


@pytest.mark.parametrize("blocks", [1, 2])
def test_few_neighbourhoods_do(blocks: int):
    features, codes, where = scene(120, 0.5)
    labels = hidden(codes)
    found = predict(features, labels, where % blocks)
    check(found, labels)
    assert (found.codes == codes)[labels == 0].mean() > 0.9


def test_a_class_of_one_mask_and_one_of_one_neighbourhood():
    features, codes, blocks = scene(120, 0.5)
    labels = hidden(codes)
    labels[np.flatnonzero(labels == 0)[0]] = 9
    labels[(labels == 8) & (blocks != 3)] = 0
    check(predict(features, labels, blocks), labels)


def test_neighbourhoods_of_one_class_each():
    features, codes, _ = scene(120, 0.5)
    labels = hidden(codes)
    check(predict(features, labels, codes.astype(np.int64)), labels)


def test_nothing_is_said_where_nothing_is_known():
    features, codes, blocks = scene(100, 0.5)
    few = np.where(np.arange(100) < LEAST - 1, codes, 0).astype(np.uint8)
    for labels in (np.zeros(100, np.uint8), few, np.where(codes == 5, codes, 0).astype(np.uint8)):
        found = predict(features, labels, blocks)
        check(found, labels)
        assert found.codes.tolist() == labels.tolist()
        assert not found.accepted.any()
        assert not found.confidence[labels == 0].any()


def test_all_labelled_and_none_at_all():
    features, codes, blocks = scene(60)
    check(predict(features, codes, blocks), codes)
    assert predict(features[:0], codes[:0], blocks[:0]).queue.tolist() == []


def test_what_does_not_fit_together_is_refused():
    features, codes, blocks = scene(30)
    with pytest.raises(ValueError, match="every mask has one of each"):
        predict(features[:20], codes, blocks)
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        predict(features, codes, blocks, accuracy=1.5)
