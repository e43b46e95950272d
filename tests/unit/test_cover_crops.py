"""Crops of land cover: labels move with their pixels, what lies beyond a picture does not count, seeds decide."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.data.tiles.folder import Picture  # noqa: E402 - after the check for torch
from models.training.config import BadTraining  # noqa: E402
from models.training.landcover.config import CoverAugmentation, CoverConfig  # noqa: E402
from models.training.landcover.crops import IGNORED, CropSource, recoloured  # noqa: E402

LEVELS = np.array([0, 40, 0, 0, 90, 140, 190, 0, 240, 0], np.uint8)  # the grey of a code in the pictures made here
STILL = {"gamma": 0, "contrast": 0, "gain": 0, "cast": 0, "offset": 0, "saturation": 0, "noise": 0}


def config(**augmentation: object) -> CoverConfig:
    training = {"batch": 3, "crop": 64, "augmentation": augmentation}
    data = {"kind": "tiles", "folder": "."}
    return CoverConfig.model_validate({"data": data, "training": training, "output": {"folder": "."}})


def picture(side: tuple[int, int] = (300, 260), codes: np.ndarray | None = None) -> Picture:
    """Return rectangles of classes, each painted in the grey of its class."""
    if codes is None:
        drawn = np.random.default_rng(3).choice([1, 4, 5, 6, 8], size=(side[0] // 20 + 1, side[1] // 20 + 1))
        codes = np.kron(drawn, np.ones((20, 20), np.int64))[: side[0], : side[1]].astype(np.uint8)
    return Picture("a", np.repeat(LEVELS[codes][None], 3, axis=0), codes)


def drawn(told: CoverConfig, pictures: list[Picture], seed: int = 0, batches: int = 4) -> list:
    found = CropSource(told, {"t": pictures}).batches(np.random.default_rng(seed))
    return [next(found) for _ in range(batches)]


@pytest.mark.parametrize("change", [{"turns": False, "flips": False, "scale": 1}, {"turns": False}, {"scale": 2}])
def test_labels_move_with_their_pixels(change: dict):
    for batch in drawn(config(**STILL, **change), [picture()]):
        assert batch.image.shape == (3, 3, 64, 64)
        known = batch.labels != IGNORED
        expected = torch.from_numpy(LEVELS / 255.0)[batch.labels.clamp_min(0) + 1].float()
        right, mirrored = (
            float(((image - expected).abs() < 0.02)[known].float().mean())
            for image in (batch.image[:, 1], batch.image[:, 1].flip(-1))
        )
        assert right > 0.7  # between two rectangles colours are blended, a label is not
        assert mirrored < 0.6  # were they moved otherwise, one grey in about five would fit


def test_ground_beyond_the_picture_and_unlabelled_pixels_do_not_count():
    codes = np.zeros((80, 80), np.uint8)
    codes[20:60, 20:60] = 8
    for batch in drawn(config(**STILL, scale=1, class_balance=0), [picture(codes=codes)]):
        assert set(batch.labels.unique().tolist()) <= {IGNORED, 7}
        assert 0 < float((batch.labels == 7).float().mean()) <= 1600 / 64**2 + 0.01


def test_the_same_seed_draws_the_same_crops():
    one, same, other = (drawn(config(), [picture()], seed, 1)[0] for seed in (5, 5, 6))
    assert torch.equal(one.image, same.image)
    assert torch.equal(one.labels, same.labels)
    assert not torch.equal(one.image, other.image)


def test_crops_by_class_meet_the_rare_class():
    codes = np.ones((1200, 1200), np.uint8)
    codes[1100:1110, 40:50] = 6
    seen = [bool((batch.labels == 5).any()) for batch in drawn(config(class_balance=1), [picture(codes=codes)])]
    assert all(seen)
    assert CropSource(config(), {"t": [picture(codes=codes)]}).counts[[1, 6]].tolist() == [1200 * 1200 - 100, 100]


def test_tiles_without_a_label_are_refused():
    with pytest.raises(BadTraining, match="no labelled pixel"):
        CropSource(config(), {"t": [picture(codes=np.zeros((80, 80), np.uint8))]})


def test_light_changes_only_where_asked():
    image, rng = torch.rand(3, 8, 8), np.random.default_rng(1)
    assert torch.allclose(recoloured(image, rng, CoverAugmentation(**STILL)), image.clamp_min(1e-4), atol=1e-6)
    grey = recoloured(image, rng, CoverAugmentation(**STILL | {"saturation": 1}))
    assert not torch.allclose(grey, image, atol=1e-3)
    assert torch.allclose(grey.mean(dim=0), image.mean(dim=0), atol=1e-4)
