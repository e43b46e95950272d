"""Clusters of masks that look alike within a neighbourhood: a Ward tree each, cut, and split further down."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]

BLOCK: Final = 512
"""Side of a neighbourhood in pixels."""
CUT: Final = 36
"""Clusters of a neighbourhood at first: four times the nine classes of land cover."""
_FARTHEST: Final = 5.0  # standardised features beyond are drawn in: one odd mask shall not be a cluster
_TINY: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Tree:
    """How the masks of one neighbourhood were joined, the most alike first.

    `members` (n,) int64 are masks, by whatever number the caller gave them: leaf k of the tree is `members[k]`. Row k
    of `children` (n - 1, 2) int32 are the nodes that node n + k was joined from; `heights` (n - 1,) float32 is how far
    apart they were. These are scipy's node numbers; the root is the last, 2 n - 2.
    """

    members: Numbers
    children: NDArray[np.int32]
    heights: Floats

    @property
    def root(self) -> int:
        """The node of all; -1 where there is no mask."""
        return 2 * len(self.members) - 2 if len(self.members) else -1

    def halves(self, node: int) -> tuple[int, int] | None:
        """Return the nodes that a node was joined from, None for a single mask; raises IndexError for no node."""
        self._check(node)
        if node < len(self.members):
            return None
        first, second = self.children[node - len(self.members)]
        return int(first), int(second)

    def masks_of(self, node: int) -> Numbers:
        """Return the masks below a node, in the order of their numbers; raises IndexError for no node."""
        self._check(node)
        leaves, open_nodes = [], [node]
        while open_nodes:
            here = open_nodes.pop()
            if here < len(self.members):
                leaves.append(here)
            else:
                open_nodes += self.children[here - len(self.members)].tolist()
        return np.sort(self.members[leaves])

    def cut(self, count: int, split: Collection[int] = ()) -> tuple[int, ...]:
        """Return the nodes of the clusters that stand, in the order of their numbers.

        At first `count` of them, or as many as there are masks; then the halves of those of `split`, down the tree.
        What is split below a node that is whole changes nothing.
        """
        opened = {*split, *range(self.root - count + 2, self.root + 1)}
        if self.root < 0:
            return ()
        standing, open_nodes = [], [self.root]
        while open_nodes:
            here = open_nodes.pop()
            halves = self.halves(here) if here in opened else None
            if halves is None:
                standing.append(here)
            else:
                open_nodes += halves
        return tuple(sorted(standing))

    def _check(self, node: int) -> None:
        if not 0 <= node <= self.root:
            raise IndexError(f"a tree of {len(self.members)} masks has nodes 0 to {self.root}, not {node}")


def neighbourhoods_of(rows: NDArray[np.float64], columns: NDArray[np.float64], side: int = BLOCK) -> Numbers:
    """Return for each mask, by its centroid (n,) in pixels, its neighbourhood (n,): 0.. of those that hold a mask.

    Neighbourhoods are blocks of `side` pixels, numbered in raster order.
    """
    blocks = np.stack([rows // side, columns // side], axis=1).astype(np.int64)
    return np.asarray(np.unique(blocks, axis=0, return_inverse=True)[1]).reshape(-1).astype(np.int64)


def standardised(features: Floats) -> Floats:
    """Return features (n, feature) less their median, over their spread by quartiles; finite, at most 5 from zero."""
    if not len(features):
        return features
    low, middle, high = np.quantile(features, (0.25, 0.5, 0.75), axis=0)
    spread = (high - low) / 1.349  # of a normal distribution: its standard deviation
    spread = np.where(spread > _TINY, spread, np.std(features, axis=0, dtype=np.float64))
    scaled = (features - middle) / np.where(spread > _TINY, spread, 1)
    return np.asarray(np.clip(scaled, -_FARTHEST, _FARTHEST), np.float32)


def tree_of(members: Numbers, features: Floats) -> Tree:
    """Join masks `members` (n,) by Ward's method on standardised features (n, feature); the same each time.

    J. Ward, Hierarchical grouping to optimize an objective function, JASA 58 (1963). Holds n^2 / 2 distances of eight
    bytes: 5,000 masks take 100 MB. Of 0 masks or 1 it is a tree without a join.
    """
    if len(members) < 2:  # noqa: PLR2004 - a join takes two
        return Tree(members, np.zeros((0, 2), np.int32), np.zeros(0, np.float32))
    joins = linkage(features.astype(np.float64), "ward")
    return Tree(members, joins[:, :2].astype(np.int32), joins[:, 2].astype(np.float32))
