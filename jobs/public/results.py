"""The results of a job: the document of its outputs, each a link signed afresh."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from jobs.public.bodies import ResultLink
from jobs.record import OutputFile, ResultRecord
from jobs.storage import Storage

_SHA256_MULTIHASH: Final = "1220"


def results_document(result: ResultRecord, storage: Storage) -> dict[str, ResultLink]:
    """Return a link for every output, by the output's name."""
    return {name: _link(output, result.deletes, storage) for name, output in result.outputs.items()}


def _link(output: OutputFile, deletes: datetime | None, storage: Storage) -> ResultLink:
    signed = storage.link(output.key, filename=output.filename)
    return ResultLink(
        href=signed.href,
        type=output.media_type,
        title=output.title,
        size=output.size,
        checksum=_SHA256_MULTIHASH + output.sha256,
        expires=signed.expires,
        deletes=deletes,
        filename=output.filename,
    )
