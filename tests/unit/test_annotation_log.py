from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.annotation.board import board_after, board_of
from jobs.annotation.edits import Edit, Entry, Label, Split, Undo
from jobs.annotation.log import PACKED, EditLog
from jobs.errors import AnnotationConflict, InvalidEdit, StorageUnavailable
from jobs.ids import new_id
from jobs.record import now
from jobs.settings import Settings
from jobs.storage import Storage
from tests.servers.api import settings_in

LABELS = st.builds(
    lambda masks, code: Label(masks=tuple(masks), code=code),
    st.lists(st.integers(0, 9), min_size=1), st.integers(0, 9),
)  # fmt: skip
SPLITS = st.builds(Split, neighbourhood=st.integers(0, 3), node=st.integers(0, 9))


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[], EditLog]:
    """Open the log of one project as another process would."""
    storage, job = Storage(settings_in(tmp_path)), new_id("job")
    return lambda: EditLog(storage, job)


def test_edits_are_numbered_and_found_again(opened: Callable[[], EditLog]) -> None:
    log = opened()
    assert [log.append(Label(masks=(n,), code=5), base=n, who="ana").version for n in range(3)] == [1, 2, 3]
    found = opened().entries()
    assert [(entry.version, entry.who, entry.edit) for entry in found] == [
        (n + 1, "ana", Label(masks=(n,), code=5)) for n in range(3)
    ]


def test_what_others_did_elsewhere_is_no_conflict(opened: Callable[[], EditLog]) -> None:
    ana, ben = opened(), opened()
    ana.append(Label(masks=(1, 2), code=5), base=0, who="ana")
    ana.append(Split(neighbourhood=0, node=7), base=1, who="ana")
    assert ben.append(Label(masks=(3,), code=8), base=0, who="ben").version == 3
    assert ben.append(Split(neighbourhood=1, node=7), base=0, who="ben").version == 4


@pytest.mark.parametrize(
    ("theirs", "mine", "told"),
    [
        (Label(masks=(1, 2), code=5), Label(masks=(2, 3), code=8), "ana changed 1 of the same masks in version 1"),
        (Split(neighbourhood=2, node=9), Split(neighbourhood=2, node=9), "ana changed the same cluster in version 1"),
    ],
)
def test_a_conflict_is_told_and_changes_nothing(
    opened: Callable[[], EditLog], theirs: Edit, mine: Edit, told: str
) -> None:
    ana, ben = opened(), opened()
    ana.append(theirs, base=0, who="ana")
    with pytest.raises(AnnotationConflict, match=told):
        ben.append(mine, base=0, who="ben")
    assert len(opened().entries()) == 1
    assert ben.append(mine, base=1, who="ben").version == 2  # having seen it


def test_an_undo_of_the_same_masks_is_a_conflict_too(opened: Callable[[], EditLog]) -> None:
    ana, ben = opened(), opened()
    ana.append(Label(masks=(1,), code=5), base=0, who="ana")
    ana.append(Undo(version=1), base=1, who="ana")
    with pytest.raises(AnnotationConflict, match="version 2"):
        ben.append(Label(masks=(1,), code=8), base=1, who="ben")
    assert ben.append(Undo(version=2), base=1, who="ben").version == 3


@pytest.mark.parametrize(("edit", "base"), [(Label(masks=(1,), code=5), 1), (Undo(version=1), 0)])
def test_versions_that_are_not_there_are_refused(opened: Callable[[], EditLog], edit: Edit, base: int) -> None:
    with pytest.raises(InvalidEdit, match="no version 1; its newest is 0"):
        opened().append(edit, base=base, who="ana")


def test_many_at_once_lose_nothing(opened: Callable[[], EditLog]) -> None:
    def annotate(who: int) -> None:
        log = opened()
        for n in range(12):
            log.append(Label(masks=(who * 100 + n,), code=1 + who), base=0, who=f"{who}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(annotate, range(4)))
    entries = opened().entries()
    assert [entry.version for entry in entries] == list(range(1, 49))
    board = board_of(400, entries)
    assert board.labelled == 48
    assert all(np.count_nonzero(board.codes == 1 + who) == 12 for who in range(4))


def test_edits_are_packed_so_that_opening_reads_few_objects(tmp_path: Path) -> None:
    storage, job = Counting(settings_in(tmp_path)), new_id("job")
    log, last = EditLog(storage, job), 2 * PACKED + 3
    for n in range(last):
        edit = Label(masks=(n,), code=5) if n != PACKED else Undo(version=1)
        log.append(edit, base=n, who="ana\n")
    wanted = log.entries()
    storage.read.clear()
    again = EditLog(storage, job)
    assert again.entries() == wanted
    assert [entry.version for entry in again.entries()] == list(range(1, last + 1))
    assert len(storage.read) == 2 + 3
    with pytest.raises(AnnotationConflict, match=f"1 of the same masks in version {PACKED + 1},"):
        again.append(Label(masks=(0, 1), code=8), base=2, who="ana")


def test_a_pack_that_was_never_written_is_written_by_who_reads_next(tmp_path: Path) -> None:
    storage, job = Counting(settings_in(tmp_path)), new_id("job")
    log = EditLog(storage, job)
    for n in range(PACKED):
        log.append(Label(masks=(n,), code=5), base=n, who="ana")  # its writer stops before it reads its last edit
    packs = f"jobs/{job}/annotation/packed-edits"
    assert storage.keys(packs) == []
    assert EditLog(storage, job).entries() == log.entries()
    (pack,) = storage.keys(packs)
    singles = [storage.get(key) for key in storage.keys(f"jobs/{job}/annotation/edits")]
    assert (storage.get(pack) or b"").splitlines() == singles


def test_a_pack_that_could_not_be_written_is_written_before_the_next(tmp_path: Path) -> None:
    storage, job = Failing(settings_in(tmp_path)), new_id("job")
    log = EditLog(storage, job)
    for n in range(PACKED):
        log.append(Label(masks=(n,), code=5), base=n, who="ana")
    with pytest.raises(StorageUnavailable):
        log.entries()
    for n in range(PACKED, 2 * PACKED):
        log.append(Label(masks=(n,), code=5), base=n, who="ana")
    wanted = log.entries()
    assert len(storage.keys(f"jobs/{job}/annotation/packed-edits")) == 2
    assert EditLog(storage, job).entries() == wanted
    assert [entry.version for entry in wanted] == list(range(1, 2 * PACKED + 1))


class Failing(Storage):
    """A storage that is away when the first pack is written."""

    failed = False

    def create(self, key: str, data: bytes) -> bool:
        if key.endswith(".jsonl") and not self.failed:
            self.failed = True
            raise StorageUnavailable("away")
        return super().create(key, data)


class Counting(Storage):
    """A storage that notes what is read."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.read: list[str] = []

    def get(self, key: str) -> bytes | None:
        self.read.append(key)
        return super().get(key)


def _entries(edits: list[Edit]) -> list[Entry]:
    return [Entry(version=n, who="ana", when=now(), edit=edit) for n, edit in enumerate(edits, 1)]


def test_a_board_tells_class_source_splits_and_work() -> None:
    edits: list[Edit] = [
        Label(masks=(0, 1, 2), code=5, source="cluster"),
        Split(neighbourhood=0, node=4),
        Label(masks=(1,), code=8),
        Label(masks=(3,), code=2, source="model"),
        Label(masks=(2,), code=0),
    ]
    board = board_of(5, _entries(edits))
    assert board.codes.tolist() == [5, 8, 0, 2, 0]
    assert board.version_of.tolist() == [1, 3, 0, 4, 0]
    assert board.split == {(0, 4)}
    assert (board.labelled, board.actions) == (3, 5)


def test_undone_twice_by_two_is_undone() -> None:
    edits: list[Edit] = [Label(masks=(0,), code=5), Undo(version=1), Undo(version=1)]
    assert board_of(1, _entries(edits)).codes.tolist() == [0]
    assert board_of(1, _entries([*edits[:2], Undo(version=2)])).codes.tolist() == [5]


@given(st.data())
def test_taking_everything_back_leaves_an_empty_board(data: st.DataObject) -> None:
    edits: list[Edit] = data.draw(st.lists(LABELS | SPLITS, max_size=12))
    whole = board_of(10, _entries(edits))
    back: list[Edit] = [Undo(version=n + 1) for n in data.draw(st.permutations(range(len(edits))))]
    empty = board_of(10, _entries([*edits, *back]))
    assert (empty.labelled, empty.split) == (0, set())
    again: list[Edit] = [Undo(version=len(edits) + n + 1) for n in range(len(back))]
    restored = board_of(10, _entries([*edits, *back, *again]))
    assert (restored.codes == whole.codes).all()
    assert restored.split == whole.split


@given(st.data())
def test_a_board_that_is_gone_on_from_is_the_one_made_anew(data: st.DataObject) -> None:
    entries = _entries(data.draw(st.lists(LABELS | SPLITS, max_size=12)))
    seen = data.draw(st.integers(0, len(entries)))
    before = board_of(10, entries[:seen])
    codes = before.codes.copy()
    later, anew = board_after(before, entries[seen:]), board_of(10, entries)
    assert later is not None
    assert (later.codes == anew.codes).all()
    assert (later.version_of == anew.version_of).all()
    assert (later.split, later.actions) == (anew.split, anew.actions)
    assert (before.codes == codes).all()
    assert board_after(before, _entries([Undo(version=1)])) is None
