"""UploadStore: uploads in object storage, announced or arrived."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

from jobs.errors import UnknownUpload, UploadNotComplete
from jobs.ids import new_id
from jobs.metrics import UPLOADED_BYTES
from jobs.record import PUBLIC, now
from jobs.storage import Storage
from jobs.uploads.ledger import Ledger
from jobs.uploads.parts import Parts
from jobs.uploads.records import AwaitedRecord, UploadKind, UploadRecord, Way


class UploadStore:
    """Keeps uploads below uploads/ in object storage, and the ledger of them."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.ledger = Ledger(storage)

    def add(
        self,
        path: Path,
        *,
        filename: str,
        kind: UploadKind,
        suffix: str,
        facts: dict[str, Any],
        tenant: str = PUBLIC,
        upload: str | None = None,
        sha256: str | None = None,
        allowance: int | None = None,
    ) -> UploadRecord:
        """Store a checked file: the original first, then the record that makes it exist.

        `upload` is the id of one that was announced, `sha256` the file's where it is known, `allowance` how many bytes
        the tenant may keep. Doing it twice for one id changes nothing. Raises UploadQuotaExceeded.
        """
        upload = upload or new_id("upl")
        size, digest, made = path.stat().st_size, sha256 or _sha256(path), now()
        expires = made + timedelta(days=self.storage.settings.upload_days)
        self.ledger.enter(tenant, upload, size, ends=expires, allowance=allowance)
        # The name holds the content's hash: of two that complete one upload neither writes over what the other checked.
        key = f"uploads/{upload}/original-{digest[:16]}{suffix}"
        self.storage.put(key, path)
        record = UploadRecord(
            upload=upload, tenant=tenant, kind=kind, filename=filename, key=key, size=size, sha256=digest,
            created=made, expires=expires, facts=facts,
        )  # fmt: skip
        if self.storage.create(_record(upload), record.model_dump_json(indent=1).encode()):
            UPLOADED_BYTES.inc(record.size)
        return self.read(upload)

    def announce(
        self,
        *,
        way: Way,
        filename: str,
        size: int,
        tenant: str = PUBLIC,
        sha256: str | None = None,
        metadata: str | None = None,
        allowance: int | None = None,
    ) -> AwaitedRecord:
        """Write down that a file will come, and count its size already; raises UploadQuotaExceeded."""
        upload, made = new_id("upl"), now()
        expires = made + timedelta(hours=self.storage.settings.unfinished_upload_hours)
        self.ledger.enter(tenant, upload, size, ends=expires, allowance=allowance)
        record = AwaitedRecord(
            upload=upload, tenant=tenant, way=way, filename=filename, size=size, sha256=sha256, metadata=metadata,
            created=made, expires=expires,
        )  # fmt: skip
        self.storage.create(_awaited(upload), record.model_dump_json(indent=1).encode())
        return record

    def look(self, upload: str) -> UploadRecord | AwaitedRecord | None:
        """Return what is known of an upload, arrived or awaited; None for an unknown one, and once a wait is over."""
        data = self.storage.get(_record(upload))
        if data is not None:
            return UploadRecord.model_validate_json(data)
        data = self.storage.get(_awaited(upload))
        awaited = None if data is None else AwaitedRecord.model_validate_json(data)
        return awaited if awaited and awaited.expires > now() else None

    def find(self, upload: str) -> UploadRecord | AwaitedRecord:
        """Return what `look` does; raises UnknownUpload where it returns nothing."""
        found = self.look(upload)
        if found is None:
            raise UnknownUpload(f"there is no upload {upload}; POST the file to /uploads first")
        return found

    def read(self, upload: str) -> UploadRecord:
        """Return an upload's record; raises UnknownUpload, or UploadNotComplete (one of it) while it is awaited."""
        found = self.find(upload)
        if isinstance(found, AwaitedRecord):
            raise UploadNotComplete(f"{upload} is not complete: send its bytes, then POST /uploads/{upload}/complete")
        return found

    def parts(self, upload: str) -> Parts:
        """Return what has come of an upload in pieces."""
        return Parts(self.storage, upload)

    def local(self, upload: str, scratch: Path) -> Path:
        """Return a path to the original: the stored file itself, or a copy below `scratch` (made once)."""
        record = self.read(upload)
        if self.storage.folder:
            return self.storage.folder / record.key
        target = scratch / upload / Path(record.key).name
        if target.is_file() and target.stat().st_size == record.size:
            return target
        return self.storage.download(record.key, target)

    def delete(self, upload: str) -> None:
        """Delete an upload, arrived or awaited: its record first, the ledger's entry last; raises UnknownUpload."""
        record = self.find(upload)
        self.sweep(upload)
        self.ledger.strike(record.tenant, upload, record.size)

    def sweep(self, upload: str, *, but: UploadRecord | None = None) -> bool:
        """Delete everything of an upload, its records first; returns whether there was anything.

        `but` is a record that stays, and its original.
        """
        kept = {_record(upload), but.key} if but else set()
        below = self.storage.keys(f"uploads/{upload}")
        first = [_record(upload), _awaited(upload)]
        ordered = [key for key in first if key in below] + [key for key in below if key not in first]
        self.storage.delete(key for key in ordered if key not in kept)
        return bool(below)


def arriving(upload: str) -> str:
    """Return the key that a link signed for the bucket writes to; what lies there is only checked and copied."""
    return f"uploads/{upload}/arriving"


def _record(upload: str) -> str:
    return f"uploads/{upload}/upload.json"


def _awaited(upload: str) -> str:
    return f"uploads/{upload}/awaited.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
