"""The pool of work on a real Valkey: whose turn it is, and that nothing in it is lost or done by two without need."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import redis

from jobs.errors import QueueUnavailable
from jobs.lengths import lengths
from jobs.live import connect
from jobs.pool import Load, Pool
from jobs.settings import Settings
from jobs.work import ASSEMBLE, BLOCK, PLAN, Work
from service.stack.valkey import EmbeddedValkey

Q = "blocks"
ALIVE = "host:1"


@pytest.fixture(scope="module")
def valkey() -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey() as valkey:
        yield valkey


@pytest.fixture
def client(valkey: EmbeddedValkey) -> Iterator[redis.Redis]:
    with connect(valkey.url(1)) as client:
        client.flushdb()
        yield client


@pytest.fixture
def pool(client: redis.Redis) -> Pool:
    return Pool(client)


def piece(job: str, tenant: str = "a", *, block: str | None = "r0000c0000", task: str = BLOCK) -> Work:
    return Work(task=task, job=job, block=block, tenant=tenant)


def tickets() -> Iterator[str]:
    return (f"ticket-{number}" for number in itertools.count())


def drained(pool: Pool, number: int, queue: str = Q) -> list[Work]:
    """Take and settle so many pieces, one after the other, by tickets that were written for none of them."""
    found = []
    for ticket in itertools.islice(tickets(), number):
        work = pool.take(queue, ticket, ALIVE, piece("nobody's"))
        assert work is not None
        found.append(work)
        pool.done(queue, ticket)
    return found


def test_a_tenants_pieces_come_in_their_order_but_an_assembly_first(pool: Pool) -> None:
    pieces = [piece(f"job_{n}") for n in range(5)]
    last = piece("job_9", block=None, task=ASSEMBLE)
    assert all(pool.put(Q, work) for work in [*pieces, last])
    assert pool.load(Q) == Load(waiting=6, running=0)
    assert drained(pool, 6) == [last, *pieces]
    assert pool.load(Q) == Load(waiting=0, running=0)


def test_a_piece_waits_once_and_not_while_it_is_done(pool: Pool) -> None:
    work = piece("job_1")
    assert [pool.put(Q, work), pool.put(Q, work)] == [True, False]
    assert pool.take(Q, "t1", ALIVE, work) == work
    assert pool.put(Q, work) is False
    pool.done(Q, "t1")
    assert pool.put(Q, work) is True
    assert pool.put("jobs", work) is True, "queues are apart"


def test_a_tenant_with_little_does_not_wait_behind_one_with_much(pool: Pool) -> None:
    for n in range(300):
        pool.put(Q, piece(f"job_{n}", "many"))
    drained(pool, 100)
    for n in range(10):
        pool.put(Q, piece(f"late_{n}", "few"))
    order = [work.tenant for work in drained(pool, 24)]
    assert Counter(order)["few"] == 10
    assert max(len(list(group)) for _, group in itertools.groupby(order[:20])) <= 2, "they take turns"


def test_time_without_work_gives_no_claim_on_more(pool: Pool) -> None:
    pool.put(Q, piece("job_0", "idle"))
    drained(pool, 1)
    for n in range(100):
        pool.put(Q, piece(f"busy_{n}", "busy"))
    drained(pool, 50)
    for n in range(50):
        pool.put(Q, piece(f"idle_{n}", "idle"))
    order = [work.tenant for work in drained(pool, 40)]
    assert 18 <= Counter(order)["idle"] <= 22


def test_shares_are_of_time_and_not_of_pieces(pool: Pool) -> None:
    """Of two tenants one has pieces five times as long: four workers give both the same seconds."""
    seconds, spent = {"long": 0.1, "short": 0.02}, Counter[str]()
    for n in range(400):
        for tenant in seconds:
            pool.put(Q, piece(f"{tenant}_{n}", tenant))
    end, lock, told = time.monotonic() + 4.0, threading.Lock(), tickets()

    def worker() -> None:
        while time.monotonic() < end:
            with lock:
                ticket = next(told)
            work = pool.take(Q, ticket, ALIVE, piece("nobody's"))
            assert work is not None
            time.sleep(seconds[work.tenant])
            pool.done(Q, ticket)
            with lock:
                spent[work.tenant] += seconds[work.tenant]

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.75 < spent["long"] / spent["short"] < 1.33


def test_the_account_of_those_who_left_does_not_grow(pool: Pool, client: redis.Redis) -> None:
    for n in range(200):
        pool.put(Q, piece(f"job_{n}", f"tenant_{n}"))
    drained(pool, 200)
    for n in range(100):
        pool.put(Q, piece(f"last_{n}", "last"))
    drained(pool, 100)
    assert client.hlen(f"cityzones:served:{Q}") <= 201
    assert set(client.keys("cityzones:*")) <= {f"cityzones:{what}:{Q}" for what in ("served", "clock", "usual")}


def test_a_ticket_that_comes_again_gets_the_same_piece(pool: Pool) -> None:
    pool.put(Q, piece("job_1"))
    pool.put(Q, piece("job_2"))
    first = pool.take(Q, "t1", ALIVE, piece("job_2"))
    assert first == piece("job_1")
    assert pool.take(Q, "t1", "host:2", piece("job_2")) == first
    assert pool.held(Q, ALIVE) == {}
    assert pool.held(Q, "host:2") == {"t1": first}


def test_a_pool_that_lost_everything_leaves_tickets_what_they_were_written_for(pool: Pool, client: redis.Redis) -> None:
    pool.put(Q, piece("job_1"))
    client.flushdb()
    assert pool.take(Q, "t1", ALIVE, piece("job_1")) == piece("job_1")
    assert pool.take(Q, "t2", ALIVE, piece("job_1")) is None, "somebody does it"


def test_a_ticket_from_before_the_pool_brings_its_piece_with_it(pool: Pool) -> None:
    pool.put(Q, piece("job_1", "a"))
    assert pool.take(Q, "old", ALIVE, piece("job_2", "a"), known=False) == piece("job_1", "a")
    assert pool.take(Q, "new", ALIVE, piece("job_1", "a")) == piece("job_2", "a")


def test_what_a_dead_worker_held_is_handed_out_again_and_next(pool: Pool) -> None:
    for job in ("job_1", "job_2", "job_3"):
        pool.put(Q, piece(job))
    pool.renew("dead", 0.2)
    pool.renew(ALIVE, 60)
    pool.take(Q, "t1", "dead", piece("job_1"))
    pool.take(Q, "t2", ALIVE, piece("job_2"))
    assert pool.reclaim(Q) == []
    time.sleep(0.3)
    assert pool.reclaim(Q) == [piece("job_1")]
    assert pool.reclaim(Q) == []
    pool.done(Q, "t1")  # it was not dead after all: too late
    assert [work.job for work in drained(pool, 2)] == ["job_1", "job_3"]
    assert pool.held(Q, ALIVE) == {"t2": piece("job_2")}


def test_a_worker_that_ends_gives_back_at_once(pool: Pool) -> None:
    pool.put(Q, piece("job_1"))
    pool.renew(ALIVE, 60)
    pool.take(Q, "t1", ALIVE, piece("job_1"))
    pool.retire(ALIVE)
    assert pool.reclaim(Q) == [piece("job_1")]


def test_a_piece_kept_for_its_ticket_is_nobodys_until_then(pool: Pool) -> None:
    pool.put(Q, piece("job_1"))
    pool.renew(ALIVE, 60)
    pool.take(Q, "t1", ALIVE, piece("job_1"))
    pool.defer(Q, "t1", "another", 0.2)
    assert pool.held(Q, ALIVE), "only who holds it may"
    pool.defer(Q, "t1", ALIVE, 0.2)
    assert pool.held(Q, ALIVE) == {}
    assert pool.release(Q, ALIVE, ["t1"]) == []
    assert pool.reclaim(Q) == []
    assert pool.take(Q, "t1", "host:2", piece("job_1")) == piece("job_1")
    pool.renew("host:2", 60)
    pool.defer(Q, "t1", "host:2", 0.2)
    time.sleep(0.3)
    assert pool.reclaim(Q) == [piece("job_1")], "its ticket did not come"


def test_a_worker_gives_back_what_its_tasks_left(pool: Pool) -> None:
    pool.put(Q, piece("job_1"))
    pool.take(Q, "t1", ALIVE, piece("job_1"))
    assert pool.release(Q, "another", ["t1"]) == []
    assert pool.release(Q, ALIVE, ["t1", "unknown"]) == [piece("job_1")]
    assert pool.load(Q) == Load(waiting=1, running=0)


def test_pieces_without_tickets_are_found(pool: Pool) -> None:
    for n in range(5):
        pool.put(Q, piece(f"job_{n}"))
    assert pool.orphans(Q, 5) == []
    assert len(pool.orphans(Q, 3)) == 2
    assert len(pool.orphans(Q, 0)) == 5


def test_jobs_at_work_are_those_that_wait_or_are_done(pool: Pool) -> None:
    for job in ("job_1", "job_2"):
        pool.put("jobs", piece(job, block=None, task=PLAN))
    pool.take("jobs", "t1", ALIVE, piece("job_1", block=None, task=PLAN))
    assert pool.jobs("jobs") == {"job_1", "job_2"}
    pool.done("jobs", "t1")
    assert pool.jobs("jobs") == {"job_2"}


def test_a_pool_that_is_away_says_so() -> None:
    with pytest.raises(QueueUnavailable, match="goes on once it does"):
        Pool(connect("redis://127.0.0.1:1/1")).put(Q, piece("job_1"))


def test_the_longest_wait_is_that_of_the_oldest_piece_that_waits(pool: Pool, valkey: EmbeddedValkey) -> None:
    url = valkey.url(1)
    settings = Settings.model_validate({"storage_url": "file:///nowhere", "broker_url": url, "live_url": url})
    assert lengths(settings)[Q].oldest == 0
    first, second = piece("job_1"), piece("job_2")
    pool.put(Q, first)
    time.sleep(0.3)
    pool.put(Q, second)
    both = lengths(settings)
    assert 0.3 <= both[Q].oldest < 5
    assert both["jobs"].oldest == 0
    assert pool.take(Q, "t1", ALIVE, first) == first
    assert lengths(settings)[Q].oldest < both[Q].oldest
    pool.take(Q, "t2", ALIVE, second)
    assert lengths(settings)[Q].oldest == 0


def test_a_piece_that_an_older_worker_took_does_not_count_as_waiting(
    pool: Pool, client: redis.Redis, valkey: EmbeddedValkey
) -> None:
    """Older workers keep no moments: what they take stays in the set until somebody looks."""
    url = valkey.url(1)
    settings = Settings.model_validate({"storage_url": "file:///nowhere", "broker_url": url, "live_url": url})
    pool.put(Q, piece("job_1"))
    client.hdel(f"cityzones:waiting:{Q}", piece("job_1").name)
    assert lengths(settings)[Q].oldest == 0
    assert client.zcard(f"cityzones:since:{Q}") == 0
