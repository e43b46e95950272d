"""The model repository in object storage: files under their SHA-256, and numbered manifests that say what lies where.

`models/files/<sha256>` is never written twice with other bytes, and a manifest `models/manifests/<number>.json` is
written last and create-only: whoever reads one finds every file it names. The highest number is what is served.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from obstore.exceptions import NotFoundError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from jobs.storage import Storage
from models.errors import CityzonesError, WeightsUnavailable
from models.served import repository_models

PREFIX: Final = "models"
_MANIFESTS: Final = f"{PREFIX}/manifests"
_SHA256: Final = r"^[0-9a-f]{64}$"
_INCOMING: Final = ".incoming-"
_RACES: Final = 100


class NoRepository(CityzonesError):
    """No model repository was published in this object storage, or none of that number."""

    code = "no-repository"


class DamagedRepository(CityzonesError):
    """The published model repository lacks a file, or holds one with other bytes."""

    code = "damaged-repository"


class PublishedFile(BaseModel):
    """One file: where it lies below the repository, what it holds, and its size in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str = Field(pattern=_SHA256)
    size: int = Field(ge=0)

    @field_validator("path")
    @classmethod
    def _stays_below(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if len(parts) < 2 or path != "/".join(parts) or any(part.startswith(".") for part in parts):  # noqa: PLR2004
            msg = "a file of a model lies in the model's folder, and its path has no part that begins with a dot"
            raise ValueError(msg)
        return path


class Manifest(BaseModel):
    """What a repository holds: its models, and every file of theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(1, ge=1, le=1)
    models: tuple[str, ...] = Field(min_length=1)
    files: tuple[PublishedFile, ...] = Field(min_length=1)

    def bytes(self) -> bytes:
        """Return the manifest as it is stored; the same repository gives the same bytes."""
        return json.dumps(self.model_dump(), sort_keys=True, indent=1).encode()


@dataclass(frozen=True, slots=True)
class Published:
    """A manifest and its number; `fresh` counts what had to be written or fetched for it, in files."""

    number: int
    manifest: Manifest
    fresh: int


def publish(storage: Storage, repository: Path) -> Published:
    """Write a repository into storage, files first; the newest manifest stays where it says the same already.

    Raises WeightsUnavailable for a folder without a model, StorageUnavailable.
    """
    models = repository_models(repository)
    if not models:
        raise WeightsUnavailable(f"{repository} holds no model; fetch weights first: cityzones models fetch")
    paths = sorted(path for model in models for path in (repository / model).rglob("*") if path.is_file())
    files = [_described(repository, path) for path in paths]
    fresh = sum(_put(storage, repository, file) for file in files)
    manifest = Manifest(models=tuple(models), files=tuple(files))
    for _ in range(_RACES):
        numbers = _numbers(storage)
        if numbers and storage.get(_key(numbers[-1])) == manifest.bytes():
            return Published(numbers[-1], manifest, fresh)
        number = (numbers[-1] if numbers else 0) + 1
        # Read back: some stores let two creations of one key succeed.
        if storage.create(_key(number), manifest.bytes()) and storage.get(_key(number)) == manifest.bytes():
            return Published(number, manifest, fresh)
    raise DamagedRepository("others publish all the time; publish from one place")


def published(storage: Storage, number: int | None = None) -> Published:
    """Return a manifest, the newest unless told which; raises NoRepository, DamagedRepository."""
    numbers = _numbers(storage)
    if not numbers:
        raise NoRepository("no model repository is published in this storage; run: cityzones models publish-repository")
    chosen = numbers[-1] if number is None else number
    data = storage.get(_key(chosen))
    if data is None:
        raise NoRepository(f"there is no manifest {chosen}; the newest is {numbers[-1]}")
    try:
        return Published(chosen, Manifest.model_validate_json(data), 0)
    except ValidationError as error:
        msg = f"manifest {chosen} is not one: {error.errors()[0]['msg']}; publish the repository again"
        raise DamagedRepository(msg) from error


def fetch(storage: Storage, destination: Path, *, number: int | None = None) -> Published:
    """Make a folder hold exactly the models of a manifest, verified, each replaced as a whole; harmless if it does.

    Nothing of the folder changes before every file is here and has its SHA-256. Raises NoRepository,
    DamagedRepository, StorageUnavailable.
    """
    found = published(storage, number)
    destination.mkdir(parents=True, exist_ok=True)
    for left in destination.glob(f"{_INCOMING}*"):
        shutil.rmtree(left)
    changed = [model for model in found.manifest.models if not _holds(destination, found.manifest, model)]
    incoming = destination / f"{_INCOMING}{secrets.token_hex(4)}"
    incoming.mkdir()
    try:
        wanted = [file for file in found.manifest.files if _model(file.path) in changed]
        for file in wanted:
            _bring(storage, file, incoming / file.path)
        for model in changed:
            _swap(incoming / model, destination / model, aside=incoming / f"{model}.old")
        for model in repository_models(destination):
            if model not in found.manifest.models:
                shutil.rmtree(destination / model)
    finally:
        shutil.rmtree(incoming)
    return Published(found.number, found.manifest, len(wanted))


def _numbers(storage: Storage) -> list[int]:
    names = (PurePosixPath(key) for key in storage.keys(_MANIFESTS))
    return sorted(int(name.stem) for name in names if name.suffix == ".json" and name.stem.isdecimal())


def _key(number: int) -> str:
    return f"{_MANIFESTS}/{number:06d}.json"


def _file_key(sha256: str) -> str:
    return f"{PREFIX}/files/{sha256}"


def _model(path: str) -> str:
    return PurePosixPath(path).parts[0]


def _described(repository: Path, path: Path) -> PublishedFile:
    name = path.relative_to(repository).as_posix()
    return PublishedFile(path=name, sha256=_sha256(path), size=path.stat().st_size)


def _put(storage: Storage, repository: Path, file: PublishedFile) -> bool:
    """Write a file unless storage has one of its name and size; returns whether it did."""
    key = _file_key(file.sha256)
    if storage.size(key) == file.size:
        return False
    storage.put(key, repository / file.path)
    return True


def _holds(destination: Path, manifest: Manifest, model: str) -> bool:
    """Say whether a model's folder is what the manifest says, no file more and none less."""
    told = {file.path: file.sha256 for file in manifest.files if _model(file.path) == model}
    here = [path for path in (destination / model).rglob("*") if path.is_file()]
    return told == {path.relative_to(destination).as_posix(): _sha256(path) for path in here}


def _bring(storage: Storage, file: PublishedFile, target: Path) -> None:
    try:
        storage.download(_file_key(file.sha256), target)
    except (NotFoundError, FileNotFoundError) as error:
        raise _damaged(file, "is missing") from error
    if _sha256(target) != file.sha256:
        raise _damaged(file, "has other bytes than were published")


def _damaged(file: PublishedFile, what: str) -> DamagedRepository:
    return DamagedRepository(
        f"{_file_key(file.sha256)} ({file.path}) {what}; delete it and run: cityzones models publish-repository"
    )


def _swap(new: Path, place: Path, *, aside: Path) -> None:
    if place.exists():
        place.rename(aside)
    new.rename(place)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
