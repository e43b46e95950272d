"""What a project's edits add up to: the class of every mask and who gave it, and how far clusters are split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jobs.annotation.edits import Entry, Label, Split, Undo


@dataclass(slots=True)
class Board:
    """The state of a project of n masks after some version.

    `codes` (n,) uint8: class of each mask, 0 where it has none; `version_of` (n,) int32: the edit that said so, 0 for
    none; `split` the (neighbourhood, node) pairs whose halves stand in their place; `actions` what annotators did so
    far, undone or not.
    """

    codes: NDArray[np.uint8]
    version_of: NDArray[np.int32]
    split: set[tuple[int, int]] = field(default_factory=set)
    actions: int = 0

    @property
    def labelled(self) -> int:
        """How many masks have a class."""
        return int(np.count_nonzero(self.codes))


def board_of(masks: int, entries: Sequence[Entry]) -> Board:
    """Return what edits add up to, those taken back left out; masks beyond `masks` are an IndexError."""
    board = Board(np.zeros(masks, np.uint8), np.zeros(masks, np.int32))
    undone = undone_versions(entries)
    for entry in entries:
        board.actions += 1
        if entry.version not in undone:
            _apply(board, entry)
    return board


def board_after(board: Board, entries: Sequence[Entry]) -> Board | None:
    """Return what a board and later edits add up to, None where one of them takes something back."""
    if any(isinstance(entry.edit, Undo) for entry in entries):
        return None
    actions = board.actions + len(entries)
    later = Board(board.codes.copy(), board.version_of.copy(), set(board.split), actions)
    for entry in entries:
        _apply(later, entry)
    return later


def _apply(board: Board, entry: Entry) -> None:
    edit = entry.edit
    if isinstance(edit, Label):
        chosen = np.asarray(edit.masks)
        board.codes[chosen] = edit.code
        board.version_of[chosen] = entry.version if edit.code else 0
    elif isinstance(edit, Split):
        board.split.add((edit.neighbourhood, edit.node))


def undone_versions(entries: Iterable[Entry]) -> set[int]:
    """Return the versions that are taken back: an undo that is itself undone takes nothing back."""
    undone: set[int] = set()
    for entry in reversed(list(entries)):
        if isinstance(entry.edit, Undo) and entry.version not in undone:
            undone.add(entry.edit.version)
    return undone
