"""Which uploads a tenant keeps, of how many bytes, and when they end: small objects whose keys say it all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from jobs.errors import UploadQuotaExceeded
from jobs.ids import mirrored
from jobs.storage import Storage

_ENDS: Final = "upload-ends"
_HOUR: Final = "%Y-%m-%dT%H"


class End(NamedTuple):
    """A note that an upload may have ended: its own key, the upload, and the entry it has among its tenant's."""

    key: str
    upload: str
    entry: str


class Ledger:
    """Keeps the lists. Entries are written before what they list and removed after it, so that none is ever missing."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def enter(self, tenant: str, upload: str, size: int, *, ends: datetime, allowance: int | None) -> None:
        """List an upload among its tenant's and among those that end; twice is harmless.

        The entry is written before the sum is taken, so that two at once never both pass. Raises UploadQuotaExceeded
        where the tenant would keep more than `allowance` bytes (None: any number).
        """
        entry = _entry(tenant, upload, size)
        self._storage.create(f"{_ENDS}/{ends.strftime(_HOUR)}/{upload}", entry.encode())
        self._storage.create(entry, b"")
        if allowance is not None and (kept := self.kept(tenant)) > allowance:
            self.strike(tenant, upload, size)
            raise UploadQuotaExceeded(_over(size, kept - size, allowance))

    def strike(self, tenant: str, upload: str, size: int) -> None:
        """Take an upload from its tenant's."""
        self._storage.delete([_entry(tenant, upload, size)])

    def kept(self, tenant: str) -> int:
        """Return how many bytes a tenant keeps, those that were announced included."""
        return sum(int(key.rpartition("_")[2]) for key in self._storage.keys(_own(tenant)))

    def newest(self, tenant: str, *, limit: int, before: str | None = None) -> list[str]:
        """Return at most `limit` uploads of a tenant, newest first, older than `before`."""
        after = f"{_own(tenant)}/{mirrored(before)}_~" if before else None
        keys = self._storage.page(_own(tenant), after=after, limit=limit)
        return [mirrored(key.rpartition("/")[2].rpartition("_")[0]) for key in keys]

    def ends(self, moment: datetime) -> Iterator[End]:
        """Yield every note of an hour that is over by then, the oldest first."""
        for hour in self._storage.folders(_ENDS):
            if hour >= moment.strftime(_HOUR):
                return
            for key in self._storage.keys(f"{_ENDS}/{hour}"):
                entry = self._storage.get(key)
                if entry is not None:
                    yield End(key, key.rpartition("/")[2], entry.decode())

    def settle(self, end: End, *, gone: bool) -> None:
        """Take a note away, and where the upload is gone its entry before."""
        self._storage.delete([end.entry, end.key] if gone else [end.key])


def check_allowance(size: int, kept: int, allowance: int) -> None:
    """Raise UploadQuotaExceeded where a file does not fit beside what is kept."""
    if kept + size > allowance:
        raise UploadQuotaExceeded(_over(size, kept, allowance))


def _over(size: int, kept: int, allowance: int) -> str:
    return (
        f"this file of {size} bytes does not fit: {kept} of the {allowance} bytes that may be kept are taken. Delete "
        "uploads that are no longer needed (GET /uploads lists them), or wait until they expire"
    )


def _own(tenant: str) -> str:
    return f"tenants/{tenant}/uploads"


def _entry(tenant: str, upload: str, size: int) -> str:
    return f"{_own(tenant)}/{mirrored(upload)}_{size}"
