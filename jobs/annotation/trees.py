"""The clusters of a neighbourhood: a tree of joints, and which of its nodes stand once some were split."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.annotation.project import Forest, Project
from jobs.errors import InvalidEdit


@dataclass(frozen=True, slots=True)
class Tree:
    """One neighbourhood's tree over m masks: nodes 0 to m - 1 are its leaves, m + i its joint i.

    `order` (m,) int32: numbers of masks so that every node's are together, those most alike side by side; `spans`
    (2 m - 1, 2) int32: where in `order` the masks of each node begin and end.
    """

    children: NDArray[np.int32]
    heights: NDArray[np.float32]
    roots: tuple[int, ...]
    order: NDArray[np.int32]
    spans: NDArray[np.int32]

    def members(self, node: int) -> NDArray[np.int32]:
        """Return the numbers of a node's masks, those most alike side by side; raises InvalidEdit for no node."""
        if not 0 <= node < len(self.spans):
            msg = f"the neighbourhood has no cluster {node}; its clusters are numbered to {len(self.spans) - 1}"
            raise InvalidEdit(msg)
        start, stop = self.spans[node]
        return self.order[start:stop]

    def halves(self, node: int) -> tuple[int, int]:
        """Return the two nodes a node was joined from; raises InvalidEdit for a single mask."""
        if len(self.members(node)) == 1:
            msg = f"the cluster {node} is a single mask and cannot be split"
            raise InvalidEdit(msg)
        first, second = self.children[node - len(self.order)]
        return int(first), int(second)

    def standing(self, split: Collection[int]) -> Iterator[int]:
        """Yield the clusters there are once those in `split` have given way to their halves."""
        todo = list(reversed(self.roots))
        while todo:
            node = todo.pop()
            if node in split and len(self.members(node)) > 1:
                todo.extend(reversed(self.halves(node)))
            else:
                yield node


def trees_of(project: Project, forest: Forest) -> list[Tree]:
    """Return the tree of every neighbourhood."""
    sizes = [n.masks for n in project.neighbourhoods]
    joints = [max(size - 1, 0) for size in sizes]
    parts = zip(
        _dealt(forest.members, sizes),
        _dealt(forest.children, joints),
        _dealt(forest.heights, joints),
        _dealt(forest.roots, list(forest.root_counts)),
        strict=True,
    )
    return [_tree(*part) for part in parts]


def _dealt(values: NDArray, counts: list[int]) -> list[NDArray]:  # type: ignore[type-arg]
    return np.split(values, np.cumsum(counts, dtype=int))[: len(counts)]


def _tree(
    members: NDArray[np.int32], children: NDArray[np.int32], heights: NDArray[np.float32], roots: NDArray[np.int32]
) -> Tree:
    leaves = len(members)
    sizes = np.ones(leaves + len(children), np.int32)
    for joint, (first, second) in enumerate(children):
        sizes[leaves + joint] = sizes[first] + sizes[second]
    starts = np.zeros(len(sizes), np.int32)
    for joint in range(len(children) - 1, -1, -1):
        first, second = children[joint]
        starts[first] = starts[leaves + joint]
        starts[second] = starts[first] + sizes[first]
    order = np.empty(leaves, np.int32)
    order[starts[:leaves]] = members
    spans = np.stack([starts, starts + sizes], axis=1)
    return Tree(children, heights, tuple(int(root) for root in roots), order, spans)
