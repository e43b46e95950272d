"""The uploads a request names: whether they are the caller's, of the kind that is needed, and not past their date."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from jobs.errors import InvalidRequest, UnknownUpload
from jobs.record import now
from jobs.uploads import UploadKind, UploadRecord
from models.errors import Fault
from service.access import Caller, own_upload
from service.state import State

_A: Final[dict[UploadKind, str]] = {
    "image": "an image file",
    "picture": "a picture without georeference",
    "vector": "a vector file",
}


def named_uploads(
    named: Mapping[str, str], caller: Caller, state: State, *, kinds: Callable[[str], Collection[UploadKind]]
) -> dict[str, UploadRecord]:
    """Return the records of uploads by the JSON Pointers that name them; `kinds` says what is taken at each.

    Raises InvalidRequest with every one that cannot be used.
    """
    found: dict[str, UploadRecord] = {}
    faults = []
    for pointer, upload in named.items():
        wanted = kinds(pointer)
        try:
            record = state.uploads.read(own_upload(upload, caller, state))
        except UnknownUpload as error:
            faults.append(Fault(pointer, error.detail))
            continue
        found[pointer] = record
        if record.kind not in wanted:
            needed = " or ".join(_A[one] for one in wanted)
            faults.append(Fault(pointer, f"{upload} is {_A[record.kind]}; {needed} is needed here"))
        if record.expires <= now():  # it is deleted any moment; one that a job names by then is not
            faults.append(Fault(pointer, f"{upload} expired on {record.expires:%Y-%m-%d}: send the file again"))
    if faults:
        raise InvalidRequest(f"{faults[0].pointer}: {faults[0].detail}", faults=faults)
    return found
