"""What the service asks of a folder, of Swift and of Ceph: create-only, parts, ranges, lists, deletion, whole jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import obstore
import pytest
from obstore.exceptions import NotFoundError, PermissionDeniedError, UnauthenticatedError

from jobs.errors import StorageUnavailable
from jobs.live import LiveJobs, connect
from jobs.storage import Storage
from jobs.store import JobStore
from models.errors import CityzonesError
from service.stack.valkey import EmbeddedValkey
from tests.integration.links.conftest import BUCKET, Place
from tests.servers.api import finish, new_job
from tests.servers.s3 import S3Server

WRITERS = 12


@pytest.fixture
def jobs(place: Place) -> Iterator[JobStore]:
    with EmbeddedValkey() as valkey:
        yield JobStore(place.storage, LiveJobs(connect(valkey.url(1))))


def test_objects_are_put_read_listed_and_deleted(place: Place, tmp_path: Path) -> None:
    storage = place.storage
    storage.put("a/b/one.bin", b"12345")
    (tmp_path / "two.bin").write_bytes(b"678")
    storage.put("a/b/two.bin", tmp_path / "two.bin")
    storage.put("a/c/three.json", b'{"four": 5}')
    assert (storage.get("a/b/one.bin"), storage.get("a/b/none")) == (b"12345", None)
    assert (storage.size("a/b/two.bin"), storage.size("a/b/none")) == (3, None)
    assert storage.get_json("a/c/three.json") == {"four": 5}
    assert storage.keys("a") == ["a/b/one.bin", "a/b/two.bin", "a/c/three.json"]
    assert storage.keys("a/b") == ["a/b/one.bin", "a/b/two.bin"]
    assert storage.folders("a") == ["b", "c"]
    assert storage.download("a/b/one.bin", tmp_path / "in" / "one.bin").read_bytes() == b"12345"
    assert bytes(obstore.get(storage.below("a"), "b/two.bin").bytes()) == b"678"
    with pytest.raises((NotFoundError, FileNotFoundError)):
        list(storage.stream("a/b/none"))
    storage.delete(["a/b/one.bin", "a/b/none"])
    assert storage.keys("a/b") == ["a/b/two.bin"]


def test_a_bucket_that_is_not_there_is_an_outage_and_no_absent_object(place: Place, tmp_path: Path) -> None:
    if place.storage.folder:
        anew = Storage(place.settings.model_copy(update={"storage_url": f"file://{tmp_path}/none"}))
        assert anew.create("a", b"1"), "a folder is made where there is none"
        return
    storage = Storage(place.settings.model_copy(update={"storage_url": "s3://no-such-bucket"}))
    calls = (
        lambda: storage.get("a"),
        lambda: asyncio.run(storage.get_async("a")),
        lambda: storage.put("a", b"1"),
        lambda: storage.create("a", b"1"),
        lambda: storage.keys("a"),
        lambda: storage.page("a", after=None, limit=3),
        lambda: storage.folders("a"),
    )
    for call in calls:
        with pytest.raises(StorageUnavailable, match="no such bucket"):
            call()


def test_lists_go_on_after_a_key(place: Place) -> None:
    keys = [f"pages/p{number:02}" for number in range(25)]
    for key in keys:
        place.storage.create(key, b"")
    seen: list[str] = []
    while page := place.storage.page("pages", after=seen[-1] if seen else None, limit=10):
        assert len(page) <= 10
        seen += page
    assert seen == keys


def test_a_large_object_goes_in_parts_and_comes_back_whole_and_in_ranges(place: Place, tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(11 * 1024**2)
    (tmp_path / "large.bin").write_bytes(data)
    place.storage.put("large.bin", tmp_path / "large.bin")
    assert b"".join(place.storage.stream("large.bin")) == data
    cut = 5 * 1024**2
    obstore.put(place.storage.backend, "parts.bin", data, use_multipart=True, chunk_size=cut)
    assert place.storage.get("parts.bin") == data
    assert bytes(obstore.get_range(place.storage.backend, "parts.bin", start=cut - 3, length=6)) == data[cut - 3 :][:6]


def test_what_is_there_is_not_created_again(place: Place) -> None:
    assert place.storage.create("once/a", b"first")
    assert not place.storage.create("once/a", b"second")
    assert place.storage.get("once/a") == b"first"


def test_of_racing_writers_one_wins(place: Place) -> None:
    """But for Swift, whose create-only put looks before it writes."""
    with ThreadPoolExecutor(WRITERS) as pool:
        for number in range(5):
            won = list(pool.map(lambda w, n=number: place.storage.create(f"race/{n}", b"%d" % w), range(WRITERS)))
            assert sum(won) >= 1
            assert sum(won) == 1 or place.name == "swift"
            if sum(won) == 1:
                assert place.storage.get(f"race/{number}") == b"%d" % won.index(True)


def test_jobs_are_made_listed_ended_and_forgotten(place: Place, jobs: JobStore) -> None:
    made = [new_job(jobs, "links") for _ in range(3)]
    assert jobs.shelves.newest("links", limit=10) == made[::-1]
    assert jobs.shelves.newest("links", limit=10, before=made[1]) == made[:1]
    assert set(made) <= set(jobs.unfinished())
    finish(jobs, made[0], {"map": ("map.tif", "image/tiff", b"123")})
    jobs.fail(made[1], CityzonesError("no"))
    assert not jobs.finish(jobs.result(made[0]).model_copy(update={"job": made[1]}))  # type: ignore[union-attr]
    assert [jobs.ended(job) for job in made] == ["successful", "failed", None]
    jobs.dismiss(made[0])
    assert jobs.ended(made[0]) == "dismissed"
    assert place.storage.keys(f"jobs/{made[0]}/outputs") == []
    for job in made:
        jobs.forget(job)
    assert jobs.shelves.newest("links", limit=10) == []


def test_a_wrong_key_is_refused(s3: S3Server) -> None:
    stranger = s3.store(BUCKET, secret_key="wrong")
    with pytest.raises((PermissionDeniedError, UnauthenticatedError)):
        stranger.put("x", b"")
