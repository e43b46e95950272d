"""Examines the object storage by what the service relies on, with objects that are removed again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import httpx

from jobs.errors import StorageUnavailable
from jobs.ids import new_id
from jobs.settings import Settings
from jobs.storage import Storage
from service.doctor.clocks import compare_clocks
from service.doctor.findings import Finding, Notes

_NOTES: Final = Notes("storage")
_SECONDS: Final = 10.0
_REFUSED: Final = range(400, 500)


def examine_storage(settings: Settings) -> Iterator[Finding]:
    """Yield whether objects are kept, found, protected and handed out; it writes one object, as an output of no job."""
    storage = Storage(settings.model_copy(update={"storage_timeout": min(settings.storage_timeout, _SECONDS)}))
    key = f"jobs/{new_id('job')}/outputs/doctor.json"
    try:
        yield from _keeping(storage, key)
        yield from _links(storage, key)
    except StorageUnavailable as error:
        yield _NOTES.fault("reach", f"{settings.storage_url} does not take an object: {_cause(error)}", _MEND_REACH)
        return
    yield from _removed(storage, key)


_MEND_REACH: Final = (
    "check CITYZONES_STORAGE_URL, CITYZONES_S3_ENDPOINT and the access key; the bucket must exist, and the key may "
    "read, write, list and delete in it"
)


def _keeping(storage: Storage, key: str) -> Iterator[Finding]:
    first, second = b'{"written": "first"}', b'{"written": "second"}'
    storage.put(key, first)
    if storage.get(key) != first:
        yield _NOTES.fault("read after write", "an object just written reads otherwise", _MEND_CONSISTENCY)
    else:
        yield _NOTES.ok("read after write", "what is written is read at once")
    if key not in storage.keys(key.rpartition("/")[0]):
        yield _NOTES.fault("list after write", "an object just written is not in the list", _MEND_CONSISTENCY)
    else:
        yield _NOTES.ok("list after write", "what is written is listed at once")
    if storage.create(key, second) or storage.get(key) != first:
        yield _NOTES.fault(
            "create-only put", "an object was written over although it was only to be created (If-None-Match)",
            "take a storage that supports conditional writes: two workers would end one job twice",
        )  # fmt: skip
    else:
        yield _NOTES.ok("create-only put", "what is there is not written over")


_MEND_CONSISTENCY: Final = "take a storage that is strongly consistent, without a cache in front: jobs rely on it"


def _links(storage: Storage, key: str) -> Iterator[Finding]:
    link = storage.link(key).href
    try:
        with httpx.Client(timeout=_SECONDS) as client:
            answer, bare = client.get(link), client.get(link.partition("?")[0])
    except httpx.HTTPError as error:
        where = urlsplit(link).netloc
        yield _NOTES.fault(
            "signed links", f"{where} does not answer: {type(error).__name__}",
            "links must lead where clients get to: CITYZONES_S3_PUBLIC_ENDPOINT, or CITYZONES_PUBLIC_URL for a folder",
        )  # fmt: skip
        return
    if answer.status_code != httpx.codes.OK:
        yield _NOTES.fault(
            "signed links", f"a link just signed is answered {answer.status_code}",
            "check that the public endpoint is the same bucket under the name that is signed, and the clocks; for a "
            "folder, that the service has the same CITYZONES_LINK_SECRET",
        )  # fmt: skip
    else:
        yield _NOTES.ok("signed links", f"fetched from {urlsplit(link).netloc}")
    if bare.status_code not in _REFUSED:
        yield _NOTES.fault(
            "privacy", f"an object without a signature is answered {bare.status_code}",
            "make the bucket private: everybody can read every map",
        )  # fmt: skip
    else:
        yield _NOTES.ok("privacy", "nothing is read without a signature")
    if not storage.folder:
        yield compare_clocks(_NOTES, "the storage", answer.headers.get("date"))
        yield from _pages(storage, key)


def _pages(storage: Storage, key: str) -> Iterator[Finding]:
    """Yield whether browsers may send uploads by link from the pages that may call the service."""
    told = storage.put_link(key)
    named = [origin for origin in storage.settings.cors_origins if origin != "*"]
    page = urlsplit(storage.settings.public_url)
    for origin in [f"{page.scheme}://{page.netloc}", *named]:
        assert told is not None  # noqa: S101 - a bucket has one
        asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        try:
            answer = httpx.options(told.href, headers=asked, timeout=_SECONDS)
        except httpx.HTTPError as error:
            yield _NOTES.warning("uploads of pages", f"no answer: {type(error).__name__}", _mend_cors(origin))
            continue
        if answer.headers.get("access-control-allow-origin") in {origin, "*"}:
            yield _NOTES.ok("uploads of pages", f"pages of {origin} may send files by link")
        else:
            yield _NOTES.warning(
                "uploads of pages", f"pages of {origin} may not send files by link", _mend_cors(origin)
            )


def _mend_cors(origin: str) -> str:
    return f"allow PUT and GET from {origin} in the bucket's CORS rules; pages send through the service until then"


def _removed(storage: Storage, key: str) -> Iterator[Finding]:
    storage.delete([key])
    if storage.get(key) is not None:
        yield _NOTES.fault("deletion", f"{key} is still there after it was deleted", "let the access key delete")
    else:
        yield _NOTES.ok("deletion", "what is deleted is gone")


def _cause(error: Exception) -> str:
    """Return the first line of what the client of the storage said."""
    return str(error.__cause__ or error).strip().partition("\n")[0][:200]
