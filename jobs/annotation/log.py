"""The log of a project's edits: create-only objects numbered without a gap, so that no edit is ever lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jobs.annotation.edits import Edit, Entry, Undo, what_it_touches
from jobs.errors import AnnotationConflict, InvalidEdit
from jobs.record import now
from jobs.storage import Storage

_RACES: Final = 50  # lost to others before a client is asked to try again
_PAGE: Final = 1000


class EditLog:
    """Reads and appends the edits of one project. Version n is the project after its first n edits."""

    def __init__(self, storage: Storage, job: str) -> None:
        self._storage = storage
        self._place = f"jobs/{job}/annotation/edits"
        self._known: list[Entry] = []

    def entries(self) -> Sequence[Entry]:
        """Return every edit so far, oldest first; those read before are not read again."""
        while found := self._storage.page(self._place, after=self._last, limit=_PAGE):
            for key in found:
                data = self._storage.get(key)
                self._known.append(Entry.model_validate_json(data or b""))
        return self._known

    def append(self, edit: Edit, *, base: int, who: str) -> Entry:
        """Add an edit of one who saw version `base`.

        Raises AnnotationConflict, saying who did what, where an edit after `base` touched the same masks or cluster,
        and InvalidEdit for a version that is not there.
        """
        for _ in range(_RACES):
            entries = self.entries()
            _check_known(edit, base, len(entries))
            _check_free(edit, entries, base)
            entry = Entry(version=len(entries) + 1, who=who, when=now(), edit=edit)
            if self._storage.create(self._key(entry.version), entry.model_dump_json().encode()):
                return entry
        msg = "too many others are saving at the same moment; save again"
        raise AnnotationConflict(msg)

    @property
    def _last(self) -> str | None:
        return self._key(len(self._known)) if self._known else None

    def _key(self, version: int) -> str:
        return f"{self._place}/{version:08d}.json"


def _check_known(edit: Edit, base: int, newest: int) -> None:
    wanted = max(base, edit.version if isinstance(edit, Undo) else 0)
    if wanted > newest:
        msg = f"the project has no version {wanted}; its newest is {newest}"
        raise InvalidEdit(msg)


def _check_free(edit: Edit, entries: Sequence[Entry], base: int) -> None:
    """Raise AnnotationConflict where one who saw version `base` would overwrite what came after it unseen.

    An undo overwrites nothing: what came after the edit it takes back stays.
    """
    if isinstance(edit, Undo):
        return
    mine = what_it_touches(edit)
    for entry in entries[base:]:
        if shared := mine & _touched(entry.edit, entries):
            what = f"{len(shared)} of the same masks" if all(isinstance(s, int) for s in shared) else "the same cluster"
            msg = f"{entry.who} changed {what} in version {entry.version}, after what you saw; reload and look again"
            raise AnnotationConflict(msg)


def _touched(edit: Edit, entries: Sequence[Entry]) -> frozenset[object]:
    """Return what an edit changed; an undo changed what the edit it takes back had."""
    while isinstance(edit, Undo):
        edit = entries[edit.version - 1].edit
    return what_it_touches(edit)
