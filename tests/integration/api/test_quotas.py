"""Limits counted in a real Redis: by many at once, over its loss, and while it is away."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from jobs.errors import AreaQuotaExceeded, StorageUnavailable, TooManyJobs
from jobs.ids import new_id
from jobs.queue import JobQueue
from jobs.quotas import Quotas
from jobs.rates import RateLimits
from jobs.recover import recover
from jobs.request import parse_execute
from jobs.settings import Settings
from jobs.store import JobStore
from jobs.tenants import TenantStore
from models.errors import CityzonesError
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import EXECUTE, LCZ, Api, problem, settings_in, store_of


class Desk:
    """Quotas with these limits, and jobs that are created under them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store: JobStore = store_of(settings)
        self.quotas = Quotas(self.store, TenantStore(self.store.storage, settings), settings.live_url)

    def create(self, tenant: str = "acme", km2: float = 0.0) -> str:
        job = new_id("job")
        with self.quotas.admitted(tenant, job, km2):
            self.store.create(LCZ, parse_execute(EXECUTE), tenant=tenant, job=job)
        return job

    def attempt(self, km2: float = 0.0) -> str | None:
        try:
            return self.create(km2=km2)
        except (TooManyJobs, AreaQuotaExceeded):
            return None


@pytest.fixture
def desk(settings: Settings) -> Desk:
    return Desk(settings.model_copy(update={"running_jobs": 3, "km2_per_month": 10.0}))


def rest(desk: Desk) -> None:
    """Let the moment pass for which a full house is remembered."""
    desk.quotas = Desk(desk.settings).quotas


def test_places_are_given_until_there_are_none_and_ended_jobs_leave_theirs(desk: Desk) -> None:
    made = [desk.create() for _ in range(3)]
    with pytest.raises(TooManyJobs, match="3 of your jobs") as told:
        desk.create()
    assert told.value.retry_after > 0
    assert desk.create("other")
    desk.store.fail(made[0], CityzonesError("no"))
    assert desk.quotas.running("acme") == 2
    rest(desk)
    assert desk.create()
    with pytest.raises(TooManyJobs):
        desk.create()


def test_many_at_once_take_no_place_too_many(desk: Desk) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(filter(None, pool.map(lambda _: desk.attempt(km2=1.0), range(40))))
    assert len(made) == 3
    assert desk.quotas.km2("acme") == 3.0


def test_many_at_once_map_no_hectare_too_much(settings: Settings) -> None:
    desk = Desk(settings.model_copy(update={"km2_per_month": 5.0}))
    with ThreadPoolExecutor(16) as pool:
        made = list(filter(None, pool.map(lambda _: desk.attempt(km2=0.3), range(40))))
    assert len(made) == 16
    assert desk.quotas.km2("acme") == pytest.approx(4.8)


def test_what_fails_gives_back_what_it_took(desk: Desk) -> None:
    with pytest.raises(StorageUnavailable), desk.quotas.admitted("acme", new_id("job"), 9.0):
        raise StorageUnavailable("away")
    assert (desk.quotas.running("acme"), desk.quotas.km2("acme")) == (0, 0)
    assert desk.create(km2=9.0)


def test_a_place_of_a_job_that_was_never_created_is_not_held_for_ever(desk: Desk) -> None:
    with redis.Redis.from_url(desk.settings.live_url) as client:
        client.zadd("cityzones:tenant:acme:running", {new_id("job"): 1_000_000.0 for _ in range(3)})
    assert desk.create()


def test_the_area_of_a_month_outlives_jobs_and_redis(desk: Desk) -> None:
    job = desk.create(km2=6.001)
    desk.store.dismiss(job)
    with redis.Redis.from_url(desk.settings.live_url) as client:
        client.flushall()
    with pytest.raises(
        AreaQuotaExceeded, match=r"maps 4 km2; 6\.01 of this month's 10 km2 are used.*00:00 UTC"
    ) as told:
        desk.create(km2=4.0)
    assert 0 < told.value.retry_after <= 31 * 86400
    assert desk.create(km2=3.99)
    assert desk.quotas.km2("acme") == 10.0
    assert desk.create(km2=0.0)


def test_recovery_counts_running_jobs_again_after_a_flush(desk: Desk) -> None:
    for _ in range(3):
        desk.create()
    with redis.Redis.from_url(desk.settings.live_url) as client:
        client.flushall()
    recover(desk.store, JobQueue.of_settings(desk.settings), desk.settings)
    with pytest.raises(TooManyJobs):
        desk.create()


def test_without_redis_jobs_are_taken_and_areas_still_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(settings_in(tmp_path, running_jobs=1, km2_per_month=10))
    assert desk.create(km2=4.0)
    assert desk.create(km2=6.0)
    with pytest.raises(AreaQuotaExceeded):
        desk.create(km2=0.01)
    assert desk.quotas.running("acme") is None
    assert len([r for r in caplog.records if "Redis does not answer" in r.message]) == 1


def test_requests_are_counted_across_processes(valkey: EmbeddedValkey) -> None:
    redis.Redis.from_url(valkey.url(1)).flushall()

    async def ask() -> list[bool]:
        mine, theirs = RateLimits(valkey.url(1)), RateLimits(valkey.url(1))
        told = await asyncio.gather(*(limits.take("acme", 20) for limits in (mine, theirs) for _ in range(20)))
        assert min(rate.remaining for rate in told) == 0
        assert all(rate.retry_after == 3 for rate in told if not rate.allowed)
        return [rate.allowed for rate in told]

    assert sum(asyncio.run(ask())) == 20


def test_without_redis_each_process_counts(caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> int:
        limits = RateLimits("redis://127.0.0.1:1/0")
        return sum([(await limits.take("acme", 5)).allowed for _ in range(9)])

    assert asyncio.run(ask()) == 5
    assert len([r for r in caplog.records if "Redis does not answer" in r.message]) == 1


def test_while_too_many_jobs_wait_to_begin_none_is_taken(settings: Settings) -> None:
    api = Api(settings.model_copy(update={"waiting_jobs": 2}))
    assert [api.execute().status_code for _ in range(2)] == [201, 201]
    time.sleep(1.1)  # for so long a count holds
    refused = api.execute()
    problem(refused, 503, "queue-full")
    assert int(refused.headers["retry-after"]) > 0
    assert len(api.store.unfinished()) == 2, "nothing is left of a job that was refused"
    redis.Redis.from_url(settings.live_url).flushdb()
    time.sleep(1.1)
    assert api.execute().status_code == 201
