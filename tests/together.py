"""Which tests one process runs, where several run them: those of a file, or of a folder whose files share servers."""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadFileScheduling

# Folders whose servers, started once for all their files, would else be started by every process for each file.
TOGETHER = {"served", "sight", "links", "contract"}


class TogetherScheduling(LoadFileScheduling):
    """Deals files out to processes, and whole folders of `TOGETHER`; xdist's groups do nothing in pytest 9."""

    def _split_scope(self, nodeid: str) -> str:
        file = PurePosixPath(super()._split_scope(nodeid))
        return str(file.parent if file.parent.name in TOGETHER else file)
