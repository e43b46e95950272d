"""Requests a minute as one process counts them: bursts, steady streams, and what is told about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.outage import Outage
from jobs.rates import LocalRates, Rate


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [1000.0]
    for module in ("rates", "remembered", "outage"):
        monkeypatch.setattr(f"jobs.{module}.time.monotonic", lambda: moment[0])
    return moment


def test_a_burst_of_the_whole_limit_passes_and_no_more(clock: list[float]) -> None:
    rates = LocalRates()
    told = [rates.take("a", 4) for _ in range(4)]
    assert [rate.remaining for rate in told] == [3, 2, 1, 0]
    assert [rate.reset for rate in told] == [15, 30, 45, 60]
    refused = rates.take("a", 4)
    assert refused == Rate(4, allowed=False, remaining=0, reset=15, retry_after=15)
    assert rates.take("b", 4).allowed
    clock[0] += refused.retry_after
    assert rates.take("a", 4).allowed
    assert not rates.take("a", 4).allowed


def test_looking_counts_nothing(clock: list[float]) -> None:
    rates = LocalRates()
    assert all(rates.spent("a", 1) is None for _ in range(9))
    rates.take("a", 1)
    assert rates.spent("a", 1) == Rate(1, allowed=False, remaining=0, reset=60, retry_after=60)


def test_the_headers_are_structured_fields(clock: list[float]) -> None:
    assert LocalRates().take("a", 100).headers == {
        "RateLimit-Policy": '"default";q=100;w=60',
        "RateLimit": '"default";r=99;t=1',
    }


@given(limit=st.integers(1, 200), pauses=st.lists(st.floats(0, 20), min_size=1, max_size=300))
def test_no_pattern_gets_more_than_the_limit_twice_a_minute(limit: int, pauses: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        moment, passed = [0.0], []
        for module in ("rates", "remembered"):
            patch.setattr(f"jobs.{module}.time.monotonic", lambda: moment[0])
        rates = LocalRates()
        for pause in pauses:
            moment[0] += pause
            if rates.take("a", limit).allowed:
                passed.append(moment[0])
    for start in passed:
        within = sum(start <= other < start + 60 for other in passed)
        assert within <= 2 * limit  # the burst, and what a minute pays back


def test_an_outage_is_told_once_a_minute(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("nothing is counted")
    for _ in range(5):
        assert not outage.lasting
        outage.begin(OSError())
        assert outage.lasting
        clock[0] += 10
    assert [record.message for record in caplog.records] == ["Redis does not answer (OSError): nothing is counted"]
    clock[0] += 60
    outage.begin(OSError())
    assert len(caplog.records) == 2
