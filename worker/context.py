"""What every step of a job needs at hand: settings, storage, live progress, uploads, the model server, the queue."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from celery import Celery

from jobs.inference import TritonModels
from jobs.live import LiveJobs, connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.store import JobStore
from jobs.uploads import UploadStore
from worker.desk import Desk


@dataclass(frozen=True)
class Context:
    """Connections of one worker process. Make it after the fork; each part connects when first used."""

    settings: Settings
    app: Celery

    @cached_property
    def storage(self) -> Storage:
        """The object storage."""
        return Storage(self.settings)

    @cached_property
    def live(self) -> LiveJobs:
        """Live progress in Redis."""
        return LiveJobs(connect(self.settings.live_url))

    @cached_property
    def store(self) -> JobStore:
        """The truth of all jobs."""
        return JobStore(self.storage, self.live)

    @cached_property
    def uploads(self) -> UploadStore:
        """Files sent by clients."""
        return UploadStore(self.storage)

    @cached_property
    def queue(self) -> JobQueue:
        """Where the work of jobs waits."""
        return JobQueue.of_settings(self.settings, self.app)

    @cached_property
    def models(self) -> TritonModels:
        """The model server."""
        told = self.settings
        return TritonModels(told.triton_url, timeout=told.triton_timeout, shared_memory=told.triton_shared_memory)

    @cached_property
    def scratch(self) -> Path:
        """A folder for copies that may vanish between tasks; all processes of a worker share it."""
        folder = self.settings.scratch or Path(tempfile.gettempdir()) / "cityzones-scratch"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    @cached_property
    def desk(self) -> Path:
        """A folder of this process's own for what it writes while it works; cleared away after it, were it killed."""
        return self._desk.folder

    @cached_property
    def _desk(self) -> Desk:
        return Desk(self.scratch)
