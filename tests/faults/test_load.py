"""Ten minutes of load from three tenants: shares, memory and back-pressure. `python -m benchmarks.load` is longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.load.__main__ import measure

JOBS = 300  # as many as two cores map in ten minutes
MOST_GROWTH = 0.05


@pytest.mark.scale
@pytest.mark.timeout(1800)
def test_many_jobs_at_once_are_shared_out_and_leave_no_memory_behind(tmp_path: Path) -> None:
    told = measure(tmp_path, jobs=JOBS, workers=2)
    assert told["jobs"] >= JOBS, told
    assert (told["lost"], told["errors"]) == (0, 0), told
    assert max(told["wait_ratio"].values()) <= 2, told
    assert told["wait_ratio"]["few"] < told["first_come_first_served"], told
    assert max(told["rss_growth"].values()) <= MOST_GROWTH, told
    assert told["refused_429"] > 0 < told["refused_503"], told
    assert told["without_retry_after"] == 0, told
