"""The log of a project's edits: create-only objects numbered without a gap, so that no edit is ever lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jobs.annotation.edits import Edit, Entry, Label, Undo, what_it_touches
from jobs.errors import AnnotationConflict, InvalidEdit
from jobs.record import now
from jobs.storage import Storage

_RACES: Final = 50  # lost to others before a client is asked to try again
_PAGE: Final = 1000
PACKED: Final = 256  # edits in an object


class EditLog:
    """Reads and appends the edits of one project. Version n is the project after its first n edits.

    Every edit is an object; whoever has read PACKED of them in a row writes them as one more, which those who open the
    project later read in their place.
    """

    def __init__(self, storage: Storage, job: str) -> None:
        self._storage = storage
        self._place = f"jobs/{job}/annotation/edits"
        self._packs = f"jobs/{job}/annotation/packed-edits"
        self._known: list[Entry] = []
        self._changed: dict[object, int] = {}  # the newest version that touched a mask or cluster
        self._unpacked: list[bytes] = []

    def entries(self) -> Sequence[Entry]:
        """Return every edit so far, oldest first; those read before are not read again."""
        if not self._known:
            self._read_packs()
        while found := self._storage.page(self._place, after=self._last, limit=_PAGE):
            for key in found:
                data = self._storage.get(key) or b""
                self._know(Entry.model_validate_json(data))
                self._pack(data)
        return self._known

    def append(self, edit: Edit, *, base: int, who: str) -> Entry:
        """Add an edit of one who saw version `base`.

        Raises AnnotationConflict, saying who did what, where an edit after `base` touched the same masks or cluster,
        and InvalidEdit for a version that is not there.
        """
        for _ in range(_RACES):
            entries = self.entries()
            _check_known(edit, base, len(entries))
            self._check_free(edit, base)
            entry = Entry(version=len(entries) + 1, who=who, when=now(), edit=edit)
            if self._storage.create(self._key(entry.version), entry.model_dump_json().encode()):
                return entry
        msg = "too many others are saving at the same moment; save again"
        raise AnnotationConflict(msg)

    def _read_packs(self) -> None:
        for key in self._storage.keys(self._packs):
            for line in (self._storage.get(key) or b"").splitlines():
                self._know(Entry.model_validate_json(line))

    def _know(self, entry: Entry) -> None:
        self._known.append(entry)
        for touched in self._touched(entry.edit):
            self._changed[touched] = entry.version

    def _pack(self, data: bytes) -> None:
        """Write a full pack, byte for byte what anybody else would write: JSON holds no line break of its own.

        One that could not be written is written before the next: packs have no gap between them.
        """
        self._unpacked.append(data)
        while len(self._unpacked) >= PACKED:
            last = len(self._known) - len(self._unpacked) + PACKED
            self._storage.create(f"{self._packs}/{last:08d}.jsonl", b"\n".join(self._unpacked[:PACKED]))
            del self._unpacked[:PACKED]

    def _touched(self, edit: Edit) -> frozenset[object]:
        """Return what an edit changed; an undo changed what the edit it takes back had."""
        while isinstance(edit, Undo):
            edit = self._known[edit.version - 1].edit
        return what_it_touches(edit)

    def _check_free(self, edit: Edit, base: int) -> None:
        """Raise AnnotationConflict where one who saw version `base` would overwrite what came after it unseen.

        An undo overwrites nothing: what came after the edit it takes back stays.
        """
        if isinstance(edit, Undo):
            return
        later = [version for touched in what_it_touches(edit) if (version := self._changed.get(touched, 0)) > base]
        if later:
            other, count = self._known[max(later) - 1], later.count(max(later))
            what = f"{count} of the same masks" if isinstance(edit, Label) else "the same cluster"
            msg = f"{other.who} changed {what} in version {other.version}, after what you saw; reload and look again"
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
