"""Uploads as clients are told of them, and those that are announced before their bytes come."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.errors import UploadTooLarge
from jobs.public.bodies import WHOLE, AwaitedUpload, Link, SendTo, Upload
from jobs.public.problems import RequestError
from jobs.settings import Settings
from jobs.uploads import AwaitedRecord, UploadRecord, Way
from jobs.uploads.store import arriving
from models.errors import Fault
from service.access import Caller
from service.receive import safe_name
from service.state import State

TUS_VERSION: Final = "1.0.0"
PIECE: Final = "application/offset+octet-stream"


class Announcement(BaseModel):
    """A file that will be sent by itself: its name, its size in bytes, and its SHA-256 where the client knows it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    filename: Annotated[str, Field(min_length=1, max_length=500)]
    size: Annotated[int, Field(gt=0), WHOLE]
    sha256: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None


def parse_announcement(body: object) -> Announcement:
    """Return the announcement a decoded JSON body holds; raises RequestError with every fault."""
    try:
        return Announcement.model_validate(body)
    except ValidationError as error:
        faults = [Fault("".join(f"/{part}" for part in e["loc"]), str(e["msg"])) for e in error.errors()]
        detail = "; ".join(f"{fault.pointer or 'the body'}: {fault.detail}" for fault in faults)
        raise RequestError("invalid-parameter", detail, faults=faults) from error


def announce(told: Announcement, tenant: str, state: State, *, way: Way, metadata: str | None = None) -> AwaitedRecord:
    """Write down that a file will come; raises UploadTooLarge or UploadQuotaExceeded."""
    most = state.settings.max_upload_bytes
    if told.size > most:
        raise UploadTooLarge(f"the file is larger than the {most} bytes an upload may have")
    return state.uploads.announce(
        way=way, filename=safe_name(told.filename), size=told.size, sha256=told.sha256, tenant=tenant,
        metadata=metadata, allowance=allowance(tenant, state),
    )  # fmt: skip


def way_of(settings: Settings) -> Way:
    """Return how the bytes of an announced file come here."""
    return "resumable" if settings.stores_locally else "direct"


def allowance(tenant: str, state: State) -> int | None:
    """Return how many bytes of uploads a tenant may keep; None where there is no limit."""
    return state.tenants.limits(tenant).upload_bytes or None


def told_of(record: UploadRecord | AwaitedRecord, caller: Caller, state: State) -> Upload | AwaitedUpload:
    """Return an upload as a caller is told of it; where its bytes go only if the caller may send any."""
    here = f"{state.settings.public_url}/uploads/{record.upload}"
    links = [Link(href=here, rel="self", title=record.filename)]
    if isinstance(record, UploadRecord):
        return Upload(**record.model_dump(), links=links)
    received = state.uploads.parts(record.upload).offset() if record.way == "resumable" else None
    return AwaitedUpload(
        upload=record.upload, tenant=record.tenant, filename=record.filename, size=record.size, sha256=record.sha256,
        received=received, created=record.created, expires=record.expires,
        send_to=_send_to(record, received or 0, state) if "submit" in caller.scopes else None,
        links=[*links, Link(href=f"{here}/complete", rel="edit", title="POST says that all bytes are sent")],
    )  # fmt: skip


def _send_to(record: AwaitedRecord, received: int, state: State) -> SendTo:
    link = state.storage.put_link(arriving(record.upload)) if record.way == "direct" else None
    if link:
        told = {"Content-Type": "application/octet-stream"}
        return SendTo(method="PUT", href=link.href, headers=told, expires=min(link.expires, record.expires))
    told = {"Tus-Resumable": TUS_VERSION, "Content-Type": PIECE, "Upload-Offset": str(received)}
    href = f"{state.settings.public_url}/uploads/resumable/{record.upload}"
    return SendTo(method="PATCH", href=href, headers=told, expires=record.expires)
