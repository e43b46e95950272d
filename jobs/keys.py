"""Keys of the interface: made, checked, replaced and revoked; storage holds hashes of their secrets only."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from pydantic import BaseModel, ConfigDict

from jobs.errors import TooManyKeys, UnknownKey
from jobs.ids import new_id
from jobs.record import now
from jobs.remembered import Remembered
from jobs.storage import Storage

Scope = Literal["read", "submit", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
KEY_ID: Final = r"[0-9a-z]{26}"
# Wherever the text of a whole key stands: nothing may log or repeat it.
KEY_TEXT: Final = re.compile(rf"cz_({KEY_ID})_([A-Za-z0-9_-]{{43}})")
MAX_KEYS: Final = 100
_SECRET_BYTES: Final = 32
_REMEMBERED: Final = 10_000
# What an unknown id is compared with, so that it takes as long as a known one.
_NOBODYS: Final = hashlib.sha256(secrets.token_bytes(_SECRET_BYTES)).hexdigest()


class KeyRecord(BaseModel):
    """keys/<id>.json: what a key opens, and the SHA-256 of its secret.

    `revoked` comes from an object of its own, so that no other write can take a revocation back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    tenant: str
    name: str = ""
    scopes: tuple[Scope, ...]
    sha256: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    @property
    def usable(self) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now() < self.expires)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, and the only copy of its text."""

    record: KeyRecord
    text: str = field(repr=False)


def widened(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """Return scopes with those they imply: admin implies submit, submit implies read."""
    last = max((SCOPES.index(scope) for scope in scopes), default=-1)
    return frozenset(SCOPES[: last + 1])


def opens(record: KeyRecord | None, secret: str) -> bool:
    """Say whether a secret is a usable key's, in a time that depends on neither; no record, no entry."""
    same = hmac.compare_digest(_digest(secret), record.sha256 if record else _NOBODYS)
    return same and record is not None and record.usable


class KeyStore:
    """Keys in object storage: keys/<id>.json, their revocations beside them, tenants/<tenant>/keys/<id> to list by."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def create(
        self, tenant: str, scopes: Iterable[Scope], *, name: str = "", expires: datetime | None = None
    ) -> NewKey:
        """Make a key; raises TooManyKeys where the tenant has as many as it may."""
        if len(self._storage.keys(_listed(tenant))) >= MAX_KEYS:
            msg = f"{tenant} has {MAX_KEYS} keys, the most there may be: revoke those that are not used"
            raise TooManyKeys(msg)
        identifier, secret = new_id("cz").removeprefix("cz_"), secrets.token_urlsafe(_SECRET_BYTES)
        record = KeyRecord(
            id=identifier, tenant=tenant, name=name, scopes=tuple(s for s in SCOPES if s in set(scopes)),
            sha256=_digest(secret), created=now(), expires=expires,
        )  # fmt: skip
        self._storage.create(f"{_listed(tenant)}/{identifier}", b"")
        self._storage.create(_key(identifier), _json(record))
        return NewKey(record, f"cz_{identifier}_{secret}")

    def rotate(self, key: str, *, grace: timedelta) -> NewKey:
        """Make a key that opens the same and let the old one expire after `grace`; raises UnknownKey."""
        old = self.find(key)
        if not old.usable:
            msg = f"the key {key} is revoked or has expired; create a new one"
            raise UnknownKey(msg)
        made = self.create(old.tenant, old.scopes, name=old.name, expires=old.expires)
        ends = min(filter(None, (old.expires, now() + grace)))
        self._storage.put(_key(key), _json(old.model_copy(update={"expires": ends})))
        return made

    def revoke(self, key: str) -> KeyRecord:
        """End a key for good; doing it twice is doing it once. Raises UnknownKey."""
        found = self.find(key)
        self._storage.create(_revocation(key), now().isoformat().encode())
        self._storage.delete([f"{_listed(found.tenant)}/{key}"])
        return self.find(key)

    def find(self, key: str) -> KeyRecord:
        """Return a key's record; raises UnknownKey."""
        found = self.read(key) if re.fullmatch(KEY_ID, key) else None
        if found is None:
            msg = "there is no such key"  # not repeated: it may be a whole key, sent by mistake
            raise UnknownKey(msg)
        return found

    def read(self, identifier: str) -> KeyRecord | None:
        """Return the record of an id that looks like one, or None where there is none."""
        data = self._storage.get(_key(identifier))
        if data is None:
            return None
        revoked = self._storage.get(_revocation(identifier))
        record = KeyRecord.model_validate_json(data)
        return record.model_copy(update={"revoked": datetime.fromisoformat(revoked.decode())}) if revoked else record

    def of(self, tenant: str) -> list[KeyRecord]:
        """Return a tenant's keys that are not revoked, oldest first."""
        names = (key.rpartition("/")[2] for key in self._storage.keys(_listed(tenant)))
        return [record for name in names if (record := self.read(name)) and record.revoked is None]

    def all(self) -> list[KeyRecord]:
        """Return every key of every tenant, revoked ones too, oldest first."""
        names = (key.removeprefix("keys/").removesuffix(".json") for key in self._storage.keys("keys"))
        return [record for name in names if re.fullmatch(KEY_ID, name) and (record := self.read(name))]


class KeyRing:
    """Keys as requests are checked by them: read from storage at most once in some seconds, known or not.

    Unknown ids are remembered apart, so that a flood of them drives no good key out.
    """

    def __init__(self, store: KeyStore, *, seconds: float) -> None:
        self._store = store
        self._known: Remembered[str, KeyRecord] = Remembered(seconds=seconds, most=_REMEMBERED)
        self._unknown: Remembered[str, Literal["unknown"]] = Remembered(seconds=seconds, most=_REMEMBERED)

    def recalls(self, identifier: str) -> bool:
        """Say whether the next look_up() needs no storage."""
        return self._known.get(identifier) is not None or self._unknown.get(identifier) is not None

    def met(self, identifier: str) -> bool:
        """Say whether the id was once found to be a key's."""
        return self._known.knew(identifier)

    def look_up(self, identifier: str) -> KeyRecord | None:
        """Return a key's record, seconds old at most, or None where there is none; raises StorageUnavailable."""
        recalled = self._known.get(identifier)
        if recalled or self._unknown.get(identifier):
            return recalled
        found = self._store.read(identifier)
        if found:
            return self._known.put(identifier, found)
        self._known.forget(identifier)
        self._unknown.put(identifier, "unknown")
        return None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(identifier: str) -> str:
    return f"keys/{identifier}.json"


def _revocation(identifier: str) -> str:
    return f"keys/{identifier}.revoked"


def _listed(tenant: str) -> str:
    return f"tenants/{tenant}/keys"


def _json(record: KeyRecord) -> bytes:
    return record.model_dump_json(indent=1, exclude_none=True).encode()
