"""Keys in storage: hashes only, one-time texts, revocations no write takes back, and a memory that stays small."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.errors import InvalidRequest, StorageUnavailable, TooManyKeys, UnknownKey
from jobs.keys import KEY_TEXT, MAX_KEYS, KeyRing, KeyStore, opens, widened
from jobs.loopback import hostname, is_loopback
from jobs.record import now
from jobs.remembered import Remembered
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.tenants import TenantStore, check_tenant
from tests.servers.api import settings_in


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(settings_in(tmp_path))


@pytest.fixture
def keys(storage: Storage) -> KeyStore:
    return KeyStore(storage)


def secret_of(text: str) -> str:
    parts = KEY_TEXT.fullmatch(text)
    assert parts, text
    return parts[2]


def test_a_key_opens_with_its_secret_alone(keys: KeyStore) -> None:
    made, other = keys.create("acme", ["read"]), keys.create("acme", ["read"])
    found = keys.find(made.record.id)
    assert found == made.record
    assert opens(found, secret_of(made.text))
    assert not opens(found, secret_of(other.text))
    assert not opens(None, secret_of(made.text))


def test_storage_never_holds_a_secret(keys: KeyStore, tmp_path: Path) -> None:
    made = keys.create("acme", ["admin"], name="web")
    again = keys.rotate(made.record.id, grace=timedelta(hours=1))
    keys.revoke(made.record.id)
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    names = [str(path) for path in tmp_path.rglob("*")]
    for text in (made.text, again.text):
        assert not any(secret_of(text).encode() in data for data in stored)
        assert not any(secret_of(text) in name for name in names)
        assert text not in repr(made) + repr(again)


@pytest.mark.parametrize(
    ("scopes", "all_of_them"),
    [
        (["read"], {"read"}),
        (["submit"], {"read", "submit"}),
        (["admin", "read"], {"read", "submit", "admin"}),
        ([], set()),
    ],
)
def test_scopes_imply_those_below(scopes: list, all_of_them: set) -> None:
    assert widened(scopes) == all_of_them


def test_expired_and_revoked_keys_open_nothing(keys: KeyStore) -> None:
    past = keys.create("acme", ["read"], expires=now() - timedelta(seconds=1))
    assert not opens(keys.find(past.record.id), secret_of(past.text))
    made = keys.create("acme", ["read"])
    for _ in range(2):
        assert keys.revoke(made.record.id).revoked
    assert not opens(keys.find(made.record.id), secret_of(made.text))


def test_a_rotation_at_the_same_time_takes_no_revocation_back(keys: KeyStore, storage: Storage) -> None:
    made = keys.create("acme", ["read"])
    before = storage.get(f"keys/{made.record.id}.json")
    keys.revoke(made.record.id)
    storage.put(f"keys/{made.record.id}.json", before)  # what a rotation that read earlier writes last
    assert not opens(keys.find(made.record.id), secret_of(made.text))


def test_rotation_keeps_what_a_key_may_and_ends_the_old_one(keys: KeyStore) -> None:
    made = keys.create("acme", ["submit"], name="web", expires=now() + timedelta(days=9))
    new = keys.rotate(made.record.id, grace=timedelta(hours=24)).record
    old = keys.find(made.record.id)
    assert (new.tenant, new.name, new.scopes, new.expires) == ("acme", "web", ("submit",), made.record.expires)
    assert old.usable
    assert timedelta(hours=23) < old.expires - now() <= timedelta(hours=24)
    keys.rotate(made.record.id, grace=timedelta(0))
    assert not keys.find(made.record.id).usable
    with pytest.raises(UnknownKey, match="expired"):
        keys.rotate(made.record.id, grace=timedelta(0))


def test_lists_know_tenants_apart(keys: KeyStore) -> None:
    mine, theirs = keys.create("acme", ["read"]).record, keys.create("acme-2", ["read"]).record
    gone = keys.create("acme", ["read"]).record
    keys.revoke(gone.id)
    assert keys.of("acme") == [mine]
    assert {record.id for record in keys.all()} == {mine.id, theirs.id, gone.id}


def test_a_tenant_has_so_many_keys(keys: KeyStore, storage: Storage) -> None:
    made = keys.create("acme", ["read"]).record
    for number in range(MAX_KEYS - 1):
        storage.create(f"tenants/acme/keys/{number:026}", b"")
    with pytest.raises(TooManyKeys, match="revoke"):
        keys.create("acme", ["read"])
    keys.revoke(made.id)
    keys.create("acme", ["read"])


@given(st.text(max_size=120) | st.from_regex(r"\.\./[a-z./]{1,40}"))
def test_no_text_finds_a_key_it_does_not_name(text: str) -> None:
    class Untouched:
        def get(self, key: str) -> None:
            assert key.startswith("keys/")
            assert ".." not in key

    with pytest.raises(UnknownKey) as told:
        KeyStore(Untouched()).find(text)  # type: ignore[arg-type]
    assert told.value.detail == "there is no such key"


class Counting(KeyStore):
    reads = 0
    away = False

    def read(self, identifier: str):
        self.reads += 1
        if self.away:
            raise StorageUnavailable("away")
        return super().read(identifier)


def test_the_ring_reads_a_key_once_and_forgets_in_time(storage: Storage) -> None:
    keys = Counting(storage)
    made, ring, fresh = keys.create("acme", ["read"]), KeyRing(keys, seconds=60), KeyRing(keys, seconds=0)
    for _ in range(5):
        assert ring.look_up(made.record.id) == made.record
        assert ring.look_up("0" * 26) is None
    assert keys.reads == 2
    keys.revoke(made.record.id)
    assert not opens(fresh.look_up(made.record.id), secret_of(made.text))
    assert opens(ring.look_up(made.record.id), secret_of(made.text))


def test_the_ring_lets_nobody_in_while_storage_is_away(storage: Storage) -> None:
    keys = Counting(storage)
    made, ring = keys.create("acme", ["read"]), KeyRing(keys, seconds=0)
    ring.look_up(made.record.id)
    keys.away = True
    for identifier in (made.record.id, "0" * 26):
        with pytest.raises(StorageUnavailable):
            ring.look_up(identifier)


def test_a_flood_of_unknown_ids_drives_no_key_out(storage: Storage) -> None:
    keys = Counting(storage)
    made, ring = keys.create("acme", ["read"]), KeyRing(keys, seconds=60)
    ring.look_up(made.record.id)
    for number in range(300):
        ring.look_up(f"{number:026}")
    assert ring.recalls(made.record.id)


def test_memory_is_bounded_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("jobs.remembered.time.monotonic", lambda: clock[0])
    kept: Remembered[int, str] = Remembered(seconds=5, most=3)
    for number in range(5):
        kept.put(number, "x")
    assert [number for number in range(5) if kept.knew(number)] == [2, 3, 4]
    clock[0] = 5.0
    assert kept.get(4) is None
    assert kept.knew(4)


def test_tenants_have_the_settings_limits_or_their_own(storage: Storage, tmp_path: Path) -> None:
    settings = settings_in(tmp_path, requests_per_minute=7, km2_per_month=10.5, upload_bytes=9, key_cache_seconds=0)
    tenants = TenantStore(storage, settings)
    assert tenants.limits("acme").requests_per_minute == 7
    assert tenants.change("acme", {"running_jobs": 3}).running_jobs == 3
    tenants.change("acme", {"km2_per_month": 0})
    assert tenants.limits("acme").model_dump() == {
        "requests_per_minute": 7, "running_jobs": 3, "km2_per_month": 0, "upload_bytes": 9,
    }  # fmt: skip
    assert storage.get_json("tenants/acme/tenant.json") == {"running_jobs": 3, "km2_per_month": 0}
    assert TenantStore(storage, settings_in(tmp_path)).limits("acme").requests_per_minute == 0


@pytest.mark.parametrize("name", ["", "public", "Acme", "-a", "a/b", "..", "a" * 41, "a b", "ä"])
def test_names_no_tenant_has(name: str) -> None:
    with pytest.raises(InvalidRequest, match="tenant"):
        check_tenant(name)


@pytest.mark.parametrize(
    "url", ["https://maps.example.org", "http://10.0.0.1:3000", "http://0.0.0.0", "http://[::]:3000"]
)
def test_open_mode_starts_on_loopback_only(url: str) -> None:
    with pytest.raises(ValidationError, match="CITYZONES_AUTH=open"):
        Settings(auth="open", public_url=url)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("[::1]", True), ("::ffff:127.0.0.1", True), ("LOCALHOST", True),
     ("a.localhost.", True), ("", False), (None, False), ("0.0.0.0", False), ("localhost.evil.org", False),
     ("127.0.0.1.nip.io", False), ("2130706433", False), ("::ffff:10.0.0.1", False)],
)  # fmt: skip
def test_what_is_loopback(host: str | None, own: bool) -> None:
    assert is_loopback(host) is own


@pytest.mark.parametrize("nowhere", ["http://[", "//[::1", "null", "//", "http://"])
def test_what_names_no_host(nowhere: str) -> None:
    assert not is_loopback(hostname(nowhere))
