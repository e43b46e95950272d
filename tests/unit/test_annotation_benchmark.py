"""The simulated expert: every action counts, every label is scored, and what it is compared with is not held back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.annotation import expert
from benchmarks.annotation.ledger import Ledger, label_sets
from benchmarks.annotation.material import CODES, Material, Scene, prepare
from benchmarks.annotation.scene import draw
from models.data.tiles.folder import open_tiles
from worker.annotation.clusters import tree_of

PAGES, EACH = 8, 45


@pytest.fixture(scope="module")
def material() -> Material:
    """Pages of masks whose features nearly tell their class; a tenth of every mask's pixels is of another."""
    draw_ = np.random.default_rng(0)
    count = PAGES * EACH
    truth = draw_.choice(np.array([1, 5, 8], np.uint8), count)
    features = (truth[:, None] + draw_.normal(0, 0.9, (count, 6))).astype(np.float32)
    pixels = np.zeros((count, CODES), np.int64)
    areas = draw_.integers(10, 100, count)
    pixels[np.arange(count), truth] = areas * 9
    pixels[:, 4] = areas
    pages = np.repeat(np.arange(PAGES), EACH)
    trees = [tree_of(masks, features[masks]) for masks in (np.flatnonzero(pages == page) for page in range(PAGES))]
    return Material(pixels, truth, features, features, pages, trees, [], 1.0, 0.0)


def test_mask_by_mask_takes_an_action_each(material: Material):
    reached = expert.by_masks(material).reached()
    count = PAGES * EACH
    assert [reached[level]["masks"] for level in ("80%", "90%", "95%")] == [0.8 * count, 0.9 * count, 0.95 * count]
    assert (reached["90%"]["area"] or 0) < 0.9 * count  # the largest first
    assert reached["95%"]["pixels"] is None  # a tenth of the pixels is of another class than its mask


def test_a_ledger_counts_actions_and_scores_what_changes(material: Material):
    ledger = Ledger(material)
    some = np.arange(180)
    ledger.say(some, material.truth[some], actions=0, look=False)
    assert (ledger.accuracy, ledger.actions, ledger.looked_at(0.4)) == (0.5, 0, 0.0)
    ledger.say(some[:90], 2)
    assert (ledger.accuracy, ledger.actions) == (0.25, 1)
    assert ledger.wrong(some).tolist() == list(range(90))
    assert ledger.reached()["80%"] == {"masks": None, "area": None, "pixels": None}


def test_an_accuracy_counts_only_from_where_it_stays(material: Material):
    ledger = Ledger(material)
    everything = np.arange(len(material.truth))
    ledger.say(everything, material.truth)
    ledger.say(everything, 2)
    ledger.say(everything, material.truth)
    assert ledger.reached()["90%"]["masks"] == 3
    assert ledger.looked_at(0.9) == 1.0


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_clusters_end_with_every_mask_right_and_every_split_counted(material: Material, share: float):
    for trees in (expert.by_page(material), expert.all_together(material)):
        ledger = expert.by_clusters(material, trees, 6, share)
        assert ledger.accuracy == 1
        assert ledger.actions >= len(trees) * 6
        assert ledger.actions < len(material.truth)


def test_the_classifier_spares_actions_and_predictions_are_no_action(material: Material):
    ledger = expert.by_clusters_and_classifier(material)
    alone, ours = expert.by_masks(material).reached(), ledger.reached()
    assert (ours["90%"]["masks"] or np.inf) < (alone["90%"]["masks"] or 0) / 2
    assert ledger.accuracy > 0.95


def test_features_that_tell_nothing_spare_little(material: Material):
    noise = np.random.default_rng(1).normal(0, 1, material.features.shape).astype(np.float32)
    trees = [tree_of(tree.members, noise[tree.members]) for tree in material.trees]
    blind = dataclasses.replace(material, features=noise, near=noise, trees=trees)
    clusters = expert.by_clusters(blind, expert.by_page(blind), 6, 0.5).reached()
    alone = expert.by_masks(blind).reached()
    assert (clusters["95%"]["masks"] or np.inf) > 0.6 * (alone["95%"]["masks"] or 0)


def test_material_is_of_the_engine_and_the_truth():
    town = draw(3, 256)
    town.codes[:, :60] = 0
    material = prepare([town, town])
    assert material.truth.min() > 0
    assert (material.truth == material.pixels[:, 1:].argmax(axis=1) + 1).all()
    assert sorted(np.concatenate([tree.members for tree in material.trees]).tolist()) == list(
        range(len(material.truth))
    )
    assert len(material.trees) == 2
    assert material.areas.sum() <= 2 * np.count_nonzero(town.codes)


def test_labels_are_known_as_they_stood_after_some_actions(material: Material):
    ledger = Ledger(material)
    ledger.say(np.arange(10), 5)
    ledger.act()
    ledger.say(np.arange(5), 8)
    ledger.say(np.array([20]), 1, actions=0)
    stood = [ledger.codes_after(actions)[[0, 9, 20]].tolist() for actions in (0, 1, 2, 3)]
    assert stood == [[0, 0, 0], [5, 5, 0], [5, 5, 0], [8, 5, 1]]


def test_label_sets_are_drawn_on_the_pixels_of_their_masks():
    towns = [draw(seed, 256) for seed in (3, 4)]
    towns[0].codes[:, :60] = 0
    material = prepare(towns)
    good, bad = Ledger(material), Ledger(material)
    good.say(np.arange(len(material.truth)), material.truth)
    bad.say(np.arange(len(material.truth)), 9)
    sets = label_sets(material, {"a": [bad, good], "b": [bad]}, actions=1)
    for number, scene in enumerate(material.scenes):
        known = scene.masks >= 0
        assert known[:, 100:].all()
        assert (sets["a"][number] == sets["every_mask"][number]).all()
        assert (sets["every_mask"][number][known] == material.truth[scene.masks[known]]).all()
        assert (sets["b"][number] == np.where(known, 9, 0)).all()
        assert sets["truth"][number] is towns[number].codes
        assert (sets["every_mask"][number] == towns[number].codes)[known].mean() > 0.8
    assert (material.scenes[0].masks[:, :30] < 0).mean() > 0.5  # masks of which most is unlabelled are left out


def test_a_network_learns_from_a_label_set_and_is_measured_on_what_was_kept(tmp_path: Path):
    pytest.importorskip("torch")
    from benchmarks.annotation.networks import worth  # noqa: PLC0415 - torch

    scenes = [scene_of(f"{tile}/a", seed) for seed, tile in enumerate(("one", "kept"))]
    for kind, pixels in (("images", np.moveaxis(scenes[1].picture.image, 0, -1)), ("masks", scenes[1].picture.codes)):
        (tmp_path / "kept" / kind).mkdir(parents=True)
        Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / "kept" / kind / "a.png")
    codes = [np.where(np.arange(256) < 64, scene.picture.codes, 0).astype(np.uint8) for scene in scenes]
    codes[1][:] = 9  # of a tile that is kept nothing is learnt
    found = worth(scenes, codes, open_tiles(tmp_path), steps=1)
    assert found["labelled"] == 0.25
    assert found["pixels"] == np.count_nonzero(scenes[1].picture.codes)
    assert 0 <= found["mean_iou"] <= 1


def scene_of(name: str, seed: int) -> Scene:
    town = dataclasses.replace(draw(seed, 256), name=name)
    return Scene(town, np.zeros(town.codes.shape, np.int32))


def test_a_town_is_the_same_each_time_and_another_for_another_seed():
    one, two, other = draw(1, 256), draw(1, 256), draw(2, 256)
    assert one.image.tobytes() == two.image.tobytes()
    assert (one.codes != other.codes).mean() > 0.1
    assert set(np.unique(one.codes).tolist()) <= {1, 2, 4, 5, 6, 8}
    assert {4, 5, 8} <= set(np.unique(one.codes).tolist())
