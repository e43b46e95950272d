"""Uploads: files clients sent before a job, with what was found in them on arrival."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from jobs.errors import UnknownUpload
from jobs.ids import new_id
from jobs.record import PUBLIC, now
from jobs.storage import Storage

UploadKind = Literal["image", "vector"]


class UploadRecord(BaseModel):
    """uploads/<upload>/upload.json: the upload exists because this exists.

    `tenant` is whose it is; `facts` come from jobs.inspection.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    upload: str
    tenant: str = PUBLIC
    kind: UploadKind
    filename: str
    key: str
    size: int
    sha256: str
    created: datetime
    facts: dict[str, Any]


class UploadStore:
    """Keeps uploads below uploads/ in object storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def add(
        self,
        path: Path,
        *,
        filename: str,
        kind: UploadKind,
        suffix: str,
        facts: dict[str, Any],
        tenant: str = PUBLIC,
    ) -> UploadRecord:
        """Store a checked file: the original first, then the record that makes it exist."""
        upload = new_id("upl")
        key = f"uploads/{upload}/original{suffix}"
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._storage.put(key, path)
        record = UploadRecord(
            upload=upload, tenant=tenant, kind=kind, filename=filename, key=key, size=path.stat().st_size,
            sha256=digest, created=now(), facts=facts,
        )  # fmt: skip
        self._storage.create(f"uploads/{upload}/upload.json", record.model_dump_json(indent=1).encode())
        return record

    def read(self, upload: str) -> UploadRecord:
        """Return an upload's record; raises UnknownUpload."""
        data = self._storage.get(f"uploads/{upload}/upload.json")
        if data is None:
            msg = f"there is no upload {upload}; POST the file to /uploads first"
            raise UnknownUpload(msg)
        return UploadRecord.model_validate_json(data)

    def local(self, upload: str, scratch: Path) -> Path:
        """Return a path to the original: the stored file itself, or a copy below `scratch` (made once)."""
        record = self.read(upload)
        if self._storage.folder:
            return self._storage.folder / record.key
        target = scratch / upload / Path(record.key).name
        if target.is_file() and target.stat().st_size == record.size:
            return target
        return self._storage.download(record.key, target)

    def delete(self, upload: str) -> None:
        """Delete an upload, its record first; raises UnknownUpload."""
        record = self.read(upload)
        self._storage.delete([f"uploads/{upload}/upload.json", record.key])
