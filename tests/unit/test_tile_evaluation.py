"""Maps of whole images from windows, and their scores, against scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score

from models.cards import Geometry, card_of
from models.data.tiles.folder import open_tiles
from models.data.tiles.legend import BadTiles
from models.errors import BadCard
from models.evaluation.tiles import confusion, evaluate_tiles, image_probabilities, open_network, scores_of

WINDOWS = Geometry(window=16, step=1, tile=32, halo=8, scene=1)


def by_colour(image: np.ndarray) -> np.ndarray:
    """Answer as a network that sees one pixel would: class 1 of what is dark, 8 of what is bright."""
    inside = image[:, 0, 8:40, 8:40]
    shares = np.zeros((1, 9, 32, 32), np.uint8)
    shares[:, 7] = np.rint(255 * inside)
    shares[:, 0] = 255 - shares[:, 7]
    return shares


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.choice([0, 1, 4, 8], size=(50, 60)).astype(np.uint8)
    mapped = np.where(rng.random(truth.shape) < 0.6, np.maximum(truth, 1), rng.choice([1, 4, 5, 8], truth.shape))
    counted = confusion(truth, mapped)
    use = truth > 0
    assert (counted == confusion_matrix(truth[use], mapped[use], labels=range(1, 10))).all()
    found = scores_of(counted)
    expected = jaccard_score(truth[use], mapped[use], labels=[1, 4, 8], average=None)
    assert list(found.iou) == ["bareland", "road", "building"]  # tree was mapped, but is nowhere in the truth
    assert list(found.iou.values()) == pytest.approx(expected, abs=1e-4)
    assert found.mean_iou == pytest.approx(expected.mean(), abs=1e-4)
    assert found.overall_accuracy == pytest.approx(accuracy_score(truth[use], mapped[use]), abs=1e-4)
    assert found.pixels == use.sum()


@pytest.mark.parametrize("shape", [(20, 20), (32, 32), (33, 90), (70, 81)])
def test_windows_put_together_are_the_image(shape: tuple[int, int]):
    image = np.random.default_rng(1).integers(0, 256, (3, *shape), np.uint8)
    found = image_probabilities(by_colour, WINDOWS, image)
    assert found.shape == (9, *shape)
    assert np.abs(found[7] - image[0] / 255).max() < 1e-5
    assert np.abs(found.sum(axis=0) - 1).max() < 1e-5


def write(folder: Path, tile: str, codes: np.ndarray, image: np.ndarray) -> None:
    for part, values in (("images", np.repeat(image[..., None], 3, axis=-1)), ("masks", codes)):
        (folder / tile / part).mkdir(parents=True)
        Image.fromarray(values).save(folder / tile / part / "a.png")


def test_a_folder_is_measured_tile_by_tile(tmp_path: Path):
    codes = np.full((40, 40), 8, np.uint8)
    codes[:, :10], codes[:20] = 1, 0
    write(tmp_path, "tile1", codes, np.full((40, 40), 250, np.uint8))
    write(tmp_path, "tile2", codes, np.where(codes == 1, 5, 250).astype(np.uint8))
    told: list[str] = []
    found = evaluate_tiles(by_colour, WINDOWS, open_tiles(tmp_path), tell=told.append)
    assert found["tiles"] == {"tile1": pytest.approx(0.375), "tile2": 1.0}
    assert found["iou"] == {"bareland": 0.5, "building": round(6 / 7, 4)}
    assert found["mean_iou"] == pytest.approx((0.5 + 6 / 7) / 2, abs=1e-4)
    assert (found["overall_accuracy"], found["pixels"]) == (0.875, 1600)
    assert [line.split(":")[0] for line in told] == ["tile1", "tile2"]


def test_what_cannot_be_measured_is_told(tmp_path: Path):
    write(tmp_path, "tile1", np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8))
    with pytest.raises(BadTiles, match="no labelled pixel"):
        evaluate_tiles(by_colour, WINDOWS, open_tiles(tmp_path))
    with pytest.raises(BadCard, match="give a model of land cover"):
        open_network(card_of("magnet"))
