"""A simulated expert, who knows the truth, in four ways of working; every action of each is one click or key."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

from benchmarks.annotation.ledger import Ledger
from benchmarks.annotation.material import CODES, Material
from worker.annotation.classifier import predict
from worker.annotation.clusters import CUT, Tree, tree_of

Masks = NDArray[np.int64]
# A tree, and which masks each of its members stands for.
Grouped = tuple[Tree, list[Masks]]

_LEAVES = 2000  # of the global tree: Ward's method would need the distances of all pairs of masks
_FIRST_PAGES, _GROWTH = 0.04, 0.25  # of all pages, and of those done
_FIRST_CUT, _FIRST_SHARE = 18, 0.6
_MENDED_BY_GROUP = 2
_ENOUGH = 0.955


def by_masks(material: Material) -> Ledger:
    """Label mask by mask, the largest first: one action each."""
    ledger = Ledger(material)
    for mask in np.argsort(-material.areas, kind="stable"):
        ledger.say(np.array([mask]), material.truth[mask])
    return ledger


def by_clusters(material: Material, trees: Iterable[Grouped], cut: int, share: float) -> Ledger:
    """Label clusters, the largest first; split those where the majority has less than `share`; then mend mask by mask.

    One action a label, a split and a mended mask.
    """
    ledger = Ledger(material)
    _label_clusters(material, ledger, trees, cut, share)
    _mend(material, ledger, np.arange(len(material.truth)))
    return ledger


def by_clusters_and_classifier(material: Material, *, seed: int = 0) -> Ledger:
    """Label a few pages by clusters, let the classifier predict the rest, and review page after page.

    A page is a neighbourhood. Its review costs one action to open it, one for each group (cluster, predicted class)
    whose class is changed as a whole, where that mends two masks or more, one for each class whose predictions are
    then taken as they are, and one for each mask that is still wrong. Pages come in random order, which beat the order
    of the classifier's doubts. It learns again after each batch of pages; batches grow with what is done.
    """
    ledger, pages = Ledger(material), np.random.default_rng(seed).permutation(len(material.trees))
    done = first = max(int(_FIRST_PAGES * len(pages)), 1)
    for page in pages[:first]:
        _label_page(material, ledger, material.trees[page])
    while done < len(pages) and ledger.accuracy < _ENOUGH:
        _predict(material, ledger, pages[:done], seed)
        batch = pages[done : done + max(first, int(_GROWTH * done))]
        for page in batch:
            _review(material, ledger, material.trees[page])
        done += len(batch)
    return ledger


def by_page(material: Material) -> list[Grouped]:
    """Return the trees of the neighbourhoods, whose members are masks."""
    singles = np.arange(len(material.truth))[:, None]
    return [(tree, list(singles)) for tree in material.trees]


def all_together(material: Material, seed: int = 0) -> list[Grouped]:
    """Return one tree of all masks; its members are the clusters of a k-means, since Ward's needs every distance."""
    count = min(_LEAVES, len(material.truth))
    means = MiniBatchKMeans(count, n_init=1, random_state=seed).fit(material.near)
    order = np.argsort(means.labels_, kind="stable")
    leaves = np.split(order, np.cumsum(np.bincount(means.labels_, minlength=count))[:-1])
    some = np.flatnonzero([len(masks) for masks in leaves])
    return [(tree_of(some, means.cluster_centers_[some].astype(np.float32)), leaves)]


def _label_page(material: Material, ledger: Ledger, tree: Tree) -> None:
    ledger.act()
    singles = list(np.arange(len(material.truth))[:, None])
    _label_clusters(material, ledger, [(tree, singles)], _FIRST_CUT, _FIRST_SHARE)
    _mend(material, ledger, tree.members)


def _label_clusters(material: Material, ledger: Ledger, trees: Iterable[Grouped], cut: int, share: float) -> None:
    """Label the clusters of trees, the largest first, splitting what the majority has less than `share` of."""
    waiting: list[tuple[int, int, int]] = []
    grouped = list(trees)

    def masks_of(number: int, node: int) -> Masks:
        tree, leaves = grouped[number]
        return np.concatenate([leaves[member] for member in tree.masks_of(node)])

    for number, (tree, _) in enumerate(grouped):
        for node in tree.cut(cut):
            heapq.heappush(waiting, (-len(masks_of(number, node)), number, node))
    while waiting:
        _, number, node = heapq.heappop(waiting)
        masks, halves = masks_of(number, node), grouped[number][0].halves(node)
        counts = np.bincount(material.truth[masks], minlength=CODES)
        ledger.look(masks)
        if halves is None or counts.max() >= share * len(masks):
            ledger.say(masks, counts.argmax())
            continue
        ledger.act()
        for half in halves:
            heapq.heappush(waiting, (-len(masks_of(number, half)), number, half))


def _review(material: Material, ledger: Ledger, tree: Tree) -> None:
    ledger.act()
    _mend_groups(material, ledger, tree)
    ledger.act(len(np.unique(ledger.codes[tree.members])))
    ledger.look(tree.members)
    _mend(material, ledger, tree.members)


def _mend_groups(material: Material, ledger: Ledger, tree: Tree) -> None:
    """Change the class of groups (cluster, class) as a whole where that mends more than it breaks by two at least."""
    for node in tree.cut(CUT):
        masks = tree.masks_of(node)
        told = ledger.codes[masks]
        for code in np.unique(told):
            group = masks[told == code]
            counts = np.bincount(material.truth[group], minlength=CODES)
            if counts.max() - counts[code] >= _MENDED_BY_GROUP:
                ledger.say(group, counts.argmax())


def _mend(material: Material, ledger: Ledger, masks: Masks) -> None:
    """Give every mask that is wrong its class, one action each."""
    for mask in ledger.wrong(masks):
        ledger.say(np.array([mask]), material.truth[mask])


def _predict(material: Material, ledger: Ledger, done: NDArray[np.int64], seed: int) -> None:
    """Let the classifier learn from the pages that are done, and predict all others."""
    known = np.isin(material.pages, done)
    labels = np.where(known, ledger.codes, 0).astype(np.uint8)
    found = predict(material.features, labels, material.pages, seed=seed)
    others = np.flatnonzero(~known)
    ledger.say(others, found.codes[others], actions=0, look=False)
