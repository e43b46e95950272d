"""Clusters: trees that part their masks, cuts that cover each once, neighbourhoods, and inputs at their worst."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from worker.annotation.clusters import Tree, neighbourhoods_of, standardised, tree_of


def some(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, 6)).astype(np.float32)


def tree(count: int, seed: int = 0) -> Tree:
    return tree_of(np.arange(100, 100 + count), standardised(some(count, seed)))


def covered(found: Tree, nodes: tuple[int, ...]) -> list[int]:
    return sorted(mask for node in nodes for mask in found.masks_of(node).tolist())


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 60), cut=st.integers(1, 40), split=st.sets(st.integers(0, 130)), seed=st.integers(0, 5))
def test_what_stands_holds_every_mask_once(count: int, cut: int, split: set[int], seed: int):
    found = tree(count, seed)
    before, after = found.cut(cut), found.cut(cut, split)
    assert len(before) == min(cut, count)
    assert covered(found, before) == covered(found, after) == found.members.tolist()
    assert not set(after) & {node for node in split if count <= node <= found.root}


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 50), seed=st.integers(0, 5))
def test_halves_part_their_node(count: int, seed: int):
    found = tree(count, seed)
    for node in range(found.root + 1):
        halves = found.halves(node)
        assert (halves is None) == (node < count)
        if halves:
            assert max(halves) < node
            assert covered(found, halves) == found.masks_of(node).tolist()


def test_a_cut_is_that_of_scipy():
    features = standardised(some(80))
    found = tree_of(np.arange(80), features)
    theirs = fcluster(linkage(features, "ward"), 12, "maxclust")
    ours = {tuple(found.masks_of(node)) for node in found.cut(12)}
    assert ours == {tuple(np.flatnonzero(theirs == number)) for number in range(1, 13)}
    assert (np.diff(found.heights) >= 0).all()


def test_a_split_puts_two_clusters_in_the_place_of_one():
    found = tree(40)
    before = found.cut(5)
    node = before[-1]
    assert set(found.cut(5, {node})) == (set(before) - {node}) | set(found.halves(node) or ())
    below = (found.halves(before[-2]) or ())[-1]
    assert found.cut(5, {below}) == before


def test_few_masks_and_masks_that_are_all_alike():
    assert tree(0).root == -1
    assert tree(0).cut(36) == ()
    assert tree(1).cut(36) == (0,)
    assert tree(1).halves(0) is None
    assert tree(2).cut(36) == (0, 1)
    assert tree(2).cut(1) == (2,)
    same = tree_of(np.arange(30), standardised(np.full((30, 4), 7, np.float32)))
    assert np.isfinite(same.heights).all()
    assert covered(same, same.cut(9)) == list(range(30))


@pytest.mark.parametrize("node", [-1, 79, 10_000])
def test_nodes_that_are_not_there_are_refused(node: int):
    with pytest.raises(IndexError, match="nodes 0 to 78"):
        tree(40).masks_of(node)
    with pytest.raises(IndexError, match="nodes 0 to 78"):
        tree(40).halves(node)


def test_trees_are_the_same_each_time_and_find_what_is_apart():
    groups = np.repeat([[0, 0], [40, 0], [0, 40]], 20, axis=0) + np.random.default_rng(1).normal(0, 1, (60, 2))
    one, two = (tree_of(np.arange(60), groups.astype(np.float32)) for _ in range(2))
    assert one.children.tobytes() == two.children.tobytes()
    assert sorted(one.masks_of(node).tolist() for node in one.cut(3)) == [
        list(range(first, first + 20)) for first in (0, 20, 40)
    ]


def test_neighbourhoods_are_blocks_that_hold_a_mask():
    rows, columns = np.array([5.0, 511.9, 512.0, 1500.0]), np.array([5.0, 600.0, 5.0, 1500.0])
    assert neighbourhoods_of(rows, columns, 512).tolist() == [0, 1, 2, 3]
    assert neighbourhoods_of(rows, columns, 4096).tolist() == [0, 0, 0, 0]
    assert neighbourhoods_of(np.zeros(0), np.zeros(0)).tolist() == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_standardised_features_are_finite(count: int, middle: float, spread: float):
    values = (np.random.default_rng(0).normal(0, 1, (count, 3)) * spread + middle).astype(np.float32)
    scaled = standardised(values)
    assert scaled.shape == values.shape
    assert np.isfinite(scaled).all()
    assert (np.abs(scaled) <= 5).all()
