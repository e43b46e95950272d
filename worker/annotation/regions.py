"""Regions and their neighbours: what they are made of, where they touch, which of them are one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled_for_threads
from worker.annotation.segments import Labels, find

Floats = NDArray[np.float32]
# Values of pixels (y, x, band).
Pixels = NDArray[np.float32] | NDArray[np.int8]
Sums = NDArray[np.float64]

_BANDS: Final = 3


@dataclass(frozen=True, slots=True)
class Contacts:
    """Where regions touch: `pairs` (n, 2) of labels, the lower first, sorted.

    `lengths` (n,) are those of their borders in pixels, `steps` (n,) the mean colour differences across them, in Lab.
    """

    pairs: NDArray[np.int32]
    lengths: NDArray[np.int64]
    steps: Sums


def sums_of(labels: Labels, values: Pixels, count: int) -> Sums:
    """Return (count + 1, 1 + 2 * band): pixels, sums and sums of squares of values (y, x, band) for each label."""
    sums = np.zeros((count + 1, 1 + 2 * values.shape[2]))
    _add(labels, values, sums)
    return sums


@compiled_for_threads
def _add(labels: Labels, values: Pixels, sums: Sums) -> None:
    bands = values.shape[2]
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            row = sums[labels[y, x]]
            row[0] += 1
            for band in range(bands):
                value = np.float64(values[y, x, band])
                row[1 + band] += value
                row[1 + bands + band] += value * value


def contacts_of(labels: Labels, lab: Pixels) -> Contacts:
    """Return where the regions of an image touch along pixel sides; `lab` is (y, x, 3)."""
    most = int(_sides(labels))
    keys, steps = np.empty(most, np.int64), np.empty(most, np.float32)
    _touch(labels, lab, keys, steps)
    unique, index, lengths = np.unique(keys, return_inverse=True, return_counts=True)
    totals = np.bincount(index, steps, len(unique))
    pairs = np.stack([unique >> 32, unique & 0xFFFFFFFF], axis=1).astype(np.int32)
    return Contacts(pairs, lengths, totals / np.maximum(lengths, 1))


@compiled_for_threads
def _sides(labels: Labels) -> int:
    """Count the pixel sides between two regions, so that nothing larger is set aside for them."""
    height, width = labels.shape
    count = 0
    for y in range(height):
        for x in range(width):
            here = labels[y, x]
            if here != 0:
                count += y + 1 < height and labels[y + 1, x] not in {0, here}
                count += x + 1 < width and labels[y, x + 1] not in {0, here}
    return count


@compiled_for_threads
def _touch(labels: Labels, lab: Pixels, keys: NDArray[np.int64], steps: Floats) -> None:
    height, width = labels.shape
    found = 0
    for y in range(height):
        for x in range(width):
            for down in range(2):
                row, column = y + down, x + 1 - down
                if row >= height or column >= width:
                    continue
                a, b = np.int64(labels[y, x]), np.int64(labels[row, column])
                if a in {b, 0} or b == 0:
                    continue
                keys[found] = (min(a, b) << 32) | max(a, b)
                total = 0.0
                for band in range(3):
                    total += (np.float64(lab[y, x, band]) - np.float64(lab[row, column, band])) ** 2
                steps[found] = np.sqrt(total)
                found += 1


def spreads(sums: Sums) -> Sums:
    """Return each region's spread in Lab, the root of the mean squared distance from its mean, of such `sums`."""
    counts = np.maximum(sums[:, :1], 1)
    means = sums[:, 1 : 1 + _BANDS] / counts
    variances = sums[:, 1 + _BANDS :] / counts - means**2
    return np.asarray(np.sqrt(np.maximum(variances, 0).sum(axis=1)))


def fuse(fine: Labels, coarse: Labels, lab: Pixels, gain: float) -> Labels:
    """Give coarse segments where finer ones are hardly purer, else the finer; returns labels 1.. in raster order.

    A fine segment belongs to the coarse one most of it lies in. It stays by itself where the mean spread of the fine
    ones is below 1 / `gain` of that of the coarse one they would make.
    """
    count, groups = int(fine.max(initial=0)), int(coarse.max(initial=0))
    keys, sizes = np.unique(fine.ravel().astype(np.int64) * (groups + 1) + coarse.ravel(), return_counts=True)
    inner, outer = keys // (groups + 1), keys % (groups + 1)
    home = np.zeros(count + 1, np.int64)
    by_size = np.argsort(sizes, kind="stable")
    home[inner[by_size]] = outer[by_size]
    sums = sums_of(fine, lab, count)
    together = np.zeros((groups + 1, sums.shape[1]))
    np.add.at(together, home, sums)
    within = np.bincount(home, spreads(sums) ** 2 * sums[:, 0], groups + 1) / np.maximum(together[:, 0], 1)
    one = spreads(together) <= gain * np.sqrt(within)
    return renumbered(fine, np.where(one[home], count + home, np.arange(count + 1)))


def renumbered(labels: Labels, owner: NDArray[np.int64]) -> Labels:
    """Replace each label by its owner's; owners are numbered 1.. in raster order of their first pixel, 0 stays 0."""
    numbers = np.zeros(int(owner.max(initial=0)) + 1, np.int32)
    out = np.empty_like(labels)
    _renumber(labels.reshape(-1), owner, numbers, out.reshape(-1))
    return out


@compiled_for_threads
def _renumber(labels: Labels, owner: NDArray[np.int64], numbers: Labels, out: Labels) -> None:
    count = 0
    for k in range(len(labels)):
        if labels[k] == 0:
            out[k] = 0
            continue
        key = owner[labels[k]]
        if numbers[key] == 0:
            count += 1
            numbers[key] = count
        out[k] = numbers[key]


def merge(labels: Labels, lab: Pixels, alike: float, least: int) -> Labels:
    """Merge neighbours whose mean colours and whose border differ by less than `alike` (Lab), and tiny regions.

    Regions of fewer than `least` pixels go to the neighbour whose mean is nearest. Returns labels 1.. in raster order.
    """
    count = int(labels.max(initial=0))
    contacts = contacts_of(labels, lab)
    sums = sums_of(labels, lab, count)[:, : 1 + _BANDS]
    parents = np.arange(count + 1, dtype=np.int32)
    for rule in range(2):
        apart = _apart(contacts.pairs, sums, parents)
        order = np.argsort(apart, kind="stable")
        _merge(contacts.pairs[order], contacts.steps[order], sums, parents, (alike, least, rule))
    return renumbered(labels, roots_of(parents))


@compiled_for_threads
def roots_of(parents: NDArray[Any]) -> NDArray[np.int64]:
    """Return the root of every node of a forest."""
    roots = np.empty(len(parents), np.int64)
    for k in range(len(parents)):
        roots[k] = find(parents, k)
    return roots


def _apart(pairs: NDArray[np.int32], sums: Sums, parents: NDArray[np.int32]) -> Sums:
    means = sums[:, 1:] / np.maximum(sums[:, :1], 1)
    roots = roots_of(parents)
    return np.asarray(np.linalg.norm(means[roots[pairs[:, 0]]] - means[roots[pairs[:, 1]]], axis=1))


@compiled_for_threads
def _merge(pairs: NDArray[np.int32], steps: Sums, sums: Sums, parents: NDArray[np.int32], rules: Any) -> None:
    alike, least, rule = rules
    for k in range(len(pairs)):
        a, b = find(parents, pairs[k, 0]), find(parents, pairs[k, 1])
        if a == b:
            continue
        total = 0.0
        for band in range(1, 4):
            total += (sums[a, band] / sums[a, 0] - sums[b, band] / sums[b, 0]) ** 2
        tiny = rule == 1 and min(sums[a, 0], sums[b, 0]) < least
        if tiny or (rule == 0 and total < alike * alike and steps[k] < alike):
            a, b = min(a, b), max(a, b)
            parents[b] = a
            sums[a] += sums[b]
