"""Annotation projects that are looked at now: their arrays stay in memory, their edits are read on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Generic, TypeVar

from jobs.annotation.board import Board, board_after, board_of, undone_versions
from jobs.annotation.edits import Edit, Entry
from jobs.annotation.log import EditLog
from jobs.annotation.project import MaskTable, Predictions, Project, ProjectFiles
from jobs.annotation.rasters import decode_raster
from jobs.annotation.trees import Tree, trees_of
from jobs.errors import InvalidEdit, UnknownProject
from jobs.storage import Storage
from service.annotation.wall import Tile

_PROJECTS: Final = 8
_TILE_BYTES: Final = 160 * 1024**2  # 7 MiB a tile of 1024 pixels a side
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """The values used last, up to a size together; a value is made once, by the first who asks for it."""

    def __init__(self, most: int, size: Callable[[V], int] = lambda _: 1) -> None:
        self._most = most
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()
        self._making: dict[K, Lock] = {}
        self._lock = Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return a value; others who ask for the same one wait while it is made."""
        with self._lock:
            making = self._making.setdefault(key, Lock())
        try:
            with making:
                with self._lock:
                    if key in self._values:
                        self._values.move_to_end(key)
                        return self._values[key]
                made = make()
                with self._lock:
                    self._values[key] = made
                    while len(self._values) > 1 and sum(map(self._size, self._values.values())) > self._most:
                        self._values.popitem(last=False)
                return made
        finally:
            with self._lock:
                self._making.pop(key, None)


@dataclass(frozen=True, slots=True)
class Now:
    """A project at one version: every edit so far, what they add up to, those taken back, and what was learnt."""

    entries: tuple[Entry, ...]
    board: Board
    undone: frozenset[int]
    learnt: tuple[int, Predictions] | None

    @property
    def version(self) -> int:
        """How many edits there are."""
        return len(self.entries)


@dataclass(slots=True)
class OpenProject:
    """A project in memory. What a job wrote never changes; edits are appended, by this process and others."""

    files: ProjectFiles
    project: Project
    table: MaskTable
    trees: list[Tree]
    log: EditLog
    _now: Now | None = None
    _lock: Lock = field(default_factory=Lock)

    def now(self) -> Now:
        """Return the newest version."""
        with self._lock:
            entries = tuple(self.log.entries())
            learnt = self._learnt()
            known = self._now
            if known is None or known.version != len(entries):
                board = (known and board_after(known.board, entries[known.version :])) or board_of(
                    self.project.masks, entries
                )
                known = Now(entries, board, frozenset(undone_versions(entries)), learnt)
            elif known.learnt is not learnt:
                known = Now(known.entries, known.board, known.undone, learnt)
            self._now = known
            return known

    def save(self, edit: Edit, *, base: int, who: str) -> Entry:
        """Append an edit that names what there is; raises InvalidEdit or AnnotationConflict."""
        with self._lock:
            return self.log.append(edit, base=base, who=who)

    def tree(self, neighbourhood: int) -> Tree:
        """Return a neighbourhood's tree; raises InvalidEdit where there is none."""
        if not 0 <= neighbourhood < len(self.trees):
            msg = f"the project has no neighbourhood {neighbourhood}; they are numbered to {len(self.trees) - 1}"
            raise InvalidEdit(msg)
        return self.trees[neighbourhood]

    def _learnt(self) -> tuple[int, Predictions] | None:
        newest = self.files.newest_predictions()
        if newest is None:
            return None
        if self._now and self._now.learnt and self._now.learnt[0] == newest:
            return self._now.learnt
        return newest, self.files.predictions(newest)


class ProjectRoom:
    """Opens projects, and decodes their tiles, each once while it is in use; safe to share between threads."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._projects: Kept[str, OpenProject] = Kept(_PROJECTS)
        self._tiles: Kept[tuple[str, int], Tile] = Kept(_TILE_BYTES, lambda t: t.image.nbytes + t.labels.nbytes)

    def project(self, job: str) -> OpenProject:
        """Return a project; raises UnknownProject where the job has none."""
        return self._projects.get(job, lambda: self._open(job))

    def tile(self, opened: OpenProject, number: int) -> Tile:
        """Return image and labels of a tile; raises UnknownProject where they are gone."""
        return self._tiles.get((opened.files.job, number), lambda: self._read(opened.files, number))

    def _open(self, job: str) -> OpenProject:
        files = ProjectFiles(self._storage, job)
        project = files.project()
        return OpenProject(
            files, project, files.masks(), trees_of(project, files.forest()), EditLog(self._storage, job)
        )

    def _read(self, files: ProjectFiles, number: int) -> Tile:
        image, labels = (self._storage.get(key) for key in (files.image_key(number), files.labels_key(number)))
        if image is None or labels is None:
            msg = f"the tile {number} of {files.job} is gone: the job was dismissed or its data have expired"
            raise UnknownProject(msg)
        return Tile(decode_raster(image), decode_raster(labels))
