"""Object storage through obstore: a folder or S3, create-only writes, byte ranges, and links signed for clients."""

from __future__ import annotations

import asyncio
import heapq
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore, S3Store

from jobs.errors import StorageUnavailable
from jobs.links import signer_of
from jobs.metrics import STORAGE_SECONDS, timed
from jobs.settings import Settings

if TYPE_CHECKING:
    from obstore.store import S3Config  # of its stub alone

_ATTEMPTS = 4
_PARTS_AT_ONCE = 4  # of 5 MiB each, of a file that is written: what it holds in memory
_AWAY = "the object storage did not answer; try again shortly"
_NO_BUCKET = "the object storage has no such bucket; create it, or set CITYZONES_STORAGE_URL to one that is there"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Link:
    """A signed way to one object, and when it stops working."""

    href: str
    expires: datetime


class Storage:
    """One bucket or folder. Keys are relative, with forward slashes; every method may raise StorageUnavailable."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._signer = signer_of(settings)
        self.backend: LocalStore | S3Store = _local(settings) if settings.stores_locally else _s3(settings, None)
        self._folder = _folder(settings) if settings.stores_locally else None

    @property
    def settings(self) -> Settings:
        """The settings it was opened with."""
        return self._settings

    @property
    def folder(self) -> Path | None:
        """The folder behind a local store, None for S3."""
        return self._folder

    def below(self, prefix: str) -> LocalStore | S3Store:
        """Return a store whose root is a prefix of this one, for libraries that bring their own layout (Zarr)."""
        if self.folder:
            return LocalStore(self.folder / prefix, mkdir=True, automatic_cleanup=True)
        return _s3(self._settings, None, prefix)

    def ask(self, call: Callable[[], T]) -> T:
        """Return what a call returns that reaches into `below` by another library, tried again as all others are."""
        return _retry("array", call)

    def put(self, key: str, data: bytes | Path, *, content_type: str | None = None) -> None:
        """Write an object, replacing what is there (callers make sure that twice gives the same bytes)."""
        attributes = None if self._settings.stores_locally else _attributes(key, content_type)
        _retry(
            "put", lambda: obstore.put(self.backend, key, data, attributes=attributes, max_concurrency=_PARTS_AT_ONCE)
        )

    def create(self, key: str, data: bytes) -> bool:
        """Write a small object only if none is there; returns False, changing nothing, if one was."""
        try:
            _retry("create", lambda: obstore.put(self.backend, key, data, mode="create", use_multipart=False))
        except AlreadyExistsError:
            return False
        return True

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None where there is none."""
        try:
            return bytes(_retry("get", lambda: obstore.get(self.backend, key).bytes()))
        except (NotFoundError, FileNotFoundError):
            return None

    def get_now(self, key: str) -> bytes | None:
        """Return what `get` does of a small object in a folder, on the spot: microseconds where the disk is near.

        Keys are ours: no part of one may come from a client unchecked.
        """
        try:
            with open(f"{self._folder}/{key}", "rb") as file:  # noqa: PTH123 - a Path costs more than the look
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageUnavailable(_AWAY) from error

    async def get_async(self, key: str) -> bytes | None:
        """Return what `get` does, on the event loop."""
        with timed(STORAGE_SECONDS, "get") as outcome:
            for attempt in range(_ATTEMPTS):
                try:
                    found = await obstore.get_async(self.backend, key)
                    return bytes(await found.bytes_async())
                except (NotFoundError, FileNotFoundError) as error:
                    _check_bucket(error)
                    outcome.word = "absent"
                    return None
                except (BaseError, OSError) as error:
                    if attempt == _ATTEMPTS - 1:
                        raise StorageUnavailable(_AWAY) from error
                await asyncio.sleep(_pause(attempt))
            raise AssertionError

    def get_json(self, key: str) -> Any | None:
        """Return a JSON object, or None where there is none."""
        data = self.get(key)
        return None if data is None else json.loads(data)

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes, or None where there is none."""
        try:
            return int(_retry("head", lambda: obstore.head(self.backend, key))["size"])
        except (NotFoundError, FileNotFoundError):
            return None

    def stream(self, key: str, *, chunk: int = 4 * 1024**2) -> Iterator[bytes]:
        """Yield an object in chunks; raises NotFoundError where there is none."""
        found = _retry("get", lambda: obstore.get(self.backend, key))
        try:
            for part in found.stream(min_chunk_size=chunk):
                yield bytes(part)
        except BaseError as error:
            raise StorageUnavailable(_AWAY) from error

    def download(self, key: str, target: Path) -> Path:
        """Copy an object to a local file, through a temporary name; raises NotFoundError where there is none."""
        target.parent.mkdir(parents=True, exist_ok=True)
        half = target.with_name(f".{target.name}.{time.monotonic_ns()}")
        try:
            with half.open("wb") as file:
                for part in self.stream(key):
                    file.write(part)
            return half.replace(target)
        except BaseException:
            half.unlink(missing_ok=True)
            raise

    def keys(self, prefix: str) -> list[str]:
        """Return every key below a prefix, sorted."""
        return sorted(str(meta["path"]) for meta in self._listing(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return every key below a prefix, with its size in bytes."""
        return {str(meta["path"]): int(meta["size"]) for meta in self._listing(prefix)}

    def older(self, prefix: str, moment: datetime) -> list[str]:
        """Return every key below a prefix that was written before a moment."""
        return [str(meta["path"]) for meta in self._listing(prefix) if meta["last_modified"] < moment]

    def page(self, prefix: str, *, after: str | None, limit: int) -> list[str]:
        """Return the first `limit` keys below a prefix that sort after a key, sorted."""
        if self.folder:  # which has no order to go on from
            found = (key for name in _names(self.folder / prefix) if (key := f"{prefix}/{name}") > (after or ""))
            return heapq.nsmallest(limit, found)
        listing = obstore.list(self.backend, prefix, offset=after, chunk_size=limit)
        first = _retry("list", lambda: next(iter(listing), []))
        return [str(meta["path"]) for meta in first[:limit]]

    def _listing(self, prefix: str) -> list[Any]:
        return _retry("list", lambda: [meta for page in obstore.list(self.backend, prefix) for meta in page])

    def folders(self, prefix: str) -> list[str]:
        """Return the names directly below a prefix, sorted."""
        listing = _retry("list", lambda: obstore.list_with_delimiter(self.backend, prefix))
        return sorted(PurePosixPath(str(p)).name for p in listing["common_prefixes"])

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; keys that are not there are passed over."""
        for key in keys:
            try:
                _retry("delete", partial(obstore.delete, self.backend, key))
            except (NotFoundError, FileNotFoundError):
                continue

    def link(self, key: str, *, filename: str | None = None) -> Link:
        """Sign a link for clients: presigned S3, or one of the service's own below /files."""
        seconds = self._settings.link_seconds
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
        if self._settings.stores_locally:
            name = filename or PurePosixPath(key).name
            query = self._signer.sign(key, int(expires.timestamp()), name)
            return Link(f"{self._settings.public_url}/files/{quote(key)}?{query}", expires)
        public = _s3(self._settings, self._settings.s3_public_endpoint)
        return Link(obstore.sign(public, "GET", key, timedelta(seconds=seconds)), expires)

    def put_link(self, key: str) -> Link | None:
        """Sign a link that lets a client PUT one object into the bucket; None for a local store, which has none."""
        if self._settings.stores_locally:
            return None
        seconds = self._settings.link_seconds
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
        public = _s3(self._settings, self._settings.s3_public_endpoint)
        return Link(obstore.sign(public, "PUT", key, timedelta(seconds=seconds)), expires)


def links_origin(settings: Settings) -> str | None:
    """Return the origin (scheme, host, port) of links signed for the bucket; None for a local store, which has none."""
    if settings.stores_locally:
        return None
    endpoint = settings.s3_public_endpoint or settings.s3_endpoint
    if endpoint is None:
        return f"https://{urlsplit(settings.storage_url).netloc}.s3.{settings.s3_region}.amazonaws.com"
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}"


def _retry(operation: str, call: Callable[[], T]) -> T:
    with timed(STORAGE_SECONDS, operation) as outcome:
        for attempt in range(_ATTEMPTS):
            try:
                return call()
            except (AlreadyExistsError, NotFoundError, FileNotFoundError) as error:
                _check_bucket(error)
                outcome.word = "exists" if isinstance(error, AlreadyExistsError) else "absent"
                raise
            except (BaseError, OSError) as error:
                _check_bucket(error)
                if attempt == _ATTEMPTS - 1:
                    raise StorageUnavailable(_AWAY) from error
                time.sleep(_pause(attempt))
        raise AssertionError


def _check_bucket(error: Exception) -> None:
    """Raise StorageUnavailable where not an object is absent, but the bucket: no try again brings it."""
    if "<Code>NoSuchBucket</Code>" in str(error):
        raise StorageUnavailable(_NO_BUCKET) from error


def _pause(attempt: int) -> float:
    return float(0.2 * 2**attempt)


def _names(folder: Path) -> list[str]:
    """Return what lies in a folder, but for files half written."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if "#" not in entry.name]
    except FileNotFoundError:
        return []


def _folder(settings: Settings) -> Path:
    path = settings.storage_url.removeprefix("file://")
    return Path(path).absolute()


def _local(settings: Settings) -> LocalStore:
    return LocalStore(_folder(settings), mkdir=True, automatic_cleanup=True)


def _s3(settings: Settings, endpoint: str | None, below: str = "") -> S3Store:
    parts = urlsplit(settings.storage_url)
    prefix = "/".join(part for part in (parts.path.strip("/"), below) if part)
    endpoint = endpoint or settings.s3_endpoint
    config: S3Config = {"region": settings.s3_region, "virtual_hosted_style_request": endpoint is None}
    if endpoint is not None:
        config["endpoint"] = endpoint
    if settings.s3_access_key_id and settings.s3_secret_access_key:
        config["access_key_id"] = settings.s3_access_key_id
        config["secret_access_key"] = settings.s3_secret_access_key.get_secret_value()
    return S3Store(
        parts.netloc,
        prefix=prefix or None,
        config=config,
        client_options={"timeout": f"{settings.storage_timeout}s", "allow_http": True},
        retry_config={"max_retries": 3},
    )


def _attributes(key: str, content_type: str | None) -> dict[str, str]:
    name = PurePosixPath(key).name
    attributes = {"Content-Disposition": f'attachment; filename="{name}"'}
    return attributes | ({"Content-Type": content_type} if content_type else {})
