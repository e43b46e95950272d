"""What is written down of an upload: before its bytes are there, and once they were found good."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from jobs.record import PUBLIC

UploadKind = Literal["image", "picture", "vector"]
# How bytes come that do not come with the request itself: by a link signed for the bucket, or part by part.
Way = Literal["direct", "resumable"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    upload: str
    tenant: str = PUBLIC
    filename: str
    size: int
    created: datetime
    expires: datetime


class UploadRecord(_Record):
    """uploads/<upload>/upload.json: the upload exists because this exists; from `expires` on it may be gone.

    `tenant` is whose it is; `facts` come from jobs.inspection.
    """

    kind: UploadKind
    key: str
    sha256: str
    facts: dict[str, Any]


class AwaitedRecord(_Record):
    """uploads/<upload>/awaited.json: a file of `size` bytes was announced and has not been found good yet.

    `sha256` is what the client says it will be, `metadata` the Upload-Metadata of a tus client as it came.
    """

    way: Way
    sha256: str | None = None
    metadata: str | None = None
