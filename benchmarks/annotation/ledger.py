"""What an expert did and what it is worth: every action counted, every change of a label scored as it happens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.annotation.material import Material, Scene

MEASURES = ("masks", "area", "pixels")
LEVELS = (0.8, 0.9, 0.95)


class Ledger:
    """The classes of all masks as they stand, 0 for none, and the curve of accuracies against actions.

    Three accuracies, each of all masks, those without a class being wrong: the share of masks that have the class of
    most of their true pixels, the same weighted by area, and the share of pixels whose mask has their class.
    """

    def __init__(self, material: Material) -> None:
        self.codes = np.zeros(len(material.truth), np.uint8)
        self.actions = 0
        self._seen = np.zeros(len(material.truth), bool)
        self._looks = 0
        self._material = material
        self._areas = material.areas
        self._wholes = np.array([len(self.codes), self._areas.sum(), self._areas.sum()], float)
        self._right = np.zeros(3)
        self._points: list[tuple[float, ...]] = [(0, 0, 0, 0, 0)]
        self._said: list[tuple[int, NDArray[np.int64], Any]] = []

    @property
    def accuracy(self) -> float:
        """The share of masks that have their class."""
        return float(self._right[0] / self._wholes[0])

    def say(self, masks: NDArray[np.int64], codes: Any, *, actions: int = 1, look: bool = True) -> None:
        """Give masks (m,) a class, or one each (m,); of a classifier it takes no action and no look at them."""
        self._right -= self._worth(masks)
        self.codes[masks] = codes
        self._right += self._worth(masks)
        if look:
            self.look(masks)
        self.act(actions)
        self._said.append((self.actions, masks, codes))

    def codes_after(self, actions: int) -> NDArray[np.uint8]:
        """Return the classes of all masks (n,), 0 for none, as they stood after so many actions."""
        found = np.zeros_like(self.codes)
        for when, masks, codes in self._said:
            if when > actions:
                break
            found[masks] = codes
        return found

    def look(self, masks: NDArray[np.int64]) -> None:
        """Note that the expert has seen masks, which takes no action, but time."""
        self._looks += int(np.count_nonzero(~self._seen[masks]))
        self._seen[masks] = True

    def act(self, actions: int = 1) -> None:
        """Count actions that change no label: a page opened, a cluster split, predictions taken as they are."""
        self.actions += actions
        self._points.append((self.actions, *(self._right / self._wholes), self._looks / len(self.codes)))

    def wrong(self, masks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some masks whose class is not the true one."""
        return np.asarray(masks[self.codes[masks] != self._material.truth[masks]])

    def reached(self) -> dict[str, dict[str, int | None]]:
        """Return by level and measure the actions after which the accuracy stays at that level or above."""
        curve = np.array(self._points)
        found: dict[str, dict[str, int | None]] = {}
        for level in LEVELS:
            firsts = [_stays(curve[:, column], level) for column in range(1, 1 + len(MEASURES))]
            told = [None if first is None else int(curve[first, 0]) for first in firsts]
            found[f"{level:.0%}"] = dict(zip(MEASURES, told, strict=True))
        return found

    def looked_at(self, level: float) -> float | None:
        """Return the share of masks the expert had looked at when that share of them was right, None if never."""
        curve = np.array(self._points)
        first = _stays(curve[:, 1], level)
        return None if first is None else round(float(curve[first, 4]), 3)

    def _worth(self, masks: NDArray[np.int64]) -> NDArray[np.float64]:
        codes = self.codes[masks]
        right = codes == self._material.truth[masks]
        inside = self._material.pixels[masks, codes][codes > 0].sum()
        return np.array([right.sum(), self._areas[masks][right].sum(), inside], float)


def _stays(values: NDArray[np.float64], level: float) -> int | None:
    """Return from which point on values are at a level or above, None where they end below."""
    first = int(np.flatnonzero(values < level)[-1]) + 1
    return first if first < len(values) else None


def label_sets(material: Material, ways: dict[str, list[Ledger]], actions: int) -> dict[str, list[NDArray[np.uint8]]]:
    """Return the codes (y, x) of every scene, 0 unlabelled, as each way had them after so many actions.

    Of several ledgers of a way the one counts that has most masks right by then. `every_mask` has every mask in its
    true class, `truth` what is known of every pixel: what no way can better.
    """

    def best(ledgers: list[Ledger]) -> NDArray[np.uint8]:
        return max((one.codes_after(actions) for one in ledgers), key=lambda found: (found == material.truth).sum())

    codes = {way: best(ledgers) for way, ledgers in ways.items()} | {"every_mask": material.truth}
    sets = {way: [_painted(scene, found) for scene in material.scenes] for way, found in codes.items()}
    return sets | {"truth": [scene.picture.codes for scene in material.scenes]}


def _painted(scene: Scene, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.append(codes, np.uint8(0))[scene.masks]  # -1 is the last
