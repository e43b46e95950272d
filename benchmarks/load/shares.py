"""When jobs finished, and what two tenants would have waited with equal shares."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console

from jobs.store import JobStore


def finished(store: JobStore, jobs: Sequence[str], start: float, longest: float, console: Console) -> dict[str, float]:
    """Wait until every job has ended and return the seconds since `start` after which each succeeded."""
    waiting, ends = list(jobs), {}
    while waiting and time.time() - start < longest:
        still = []
        for job in waiting:
            ended = store.ended(job)
            if ended == "successful":
                ends[job] = time.time() - start
            elif ended is None:
                still.append(job)
        waiting = still
        console.print(f"{time.time() - start:.0f} s: {len(ends)} done, {len(waiting)} to do")
        time.sleep(1.0 if len(waiting) < len(jobs) // 10 else 10.0)
    return ends


def ratios(tenants: Mapping[str, Sequence[str]], ends: Mapping[str, float]) -> dict[str, Any]:
    """Return each tenant's mean wait over that of equal shares, and that of the second had the first come first.

    Work is counted in jobs, of which both tenants have the same mixture. With equal shares of a rate r, the one with
    fewer jobs works at r/2 until it is done, the other at r/2 until then and at r after it.
    """
    counts = {name: sum(job in ends for job in jobs) for name, jobs in tenants.items()}
    rate = sum(counts.values()) / max(ends.values())
    (few, less), (many, more) = sorted(counts.items(), key=lambda item: item[1])
    fair = {few: less / rate, many: _mean_of_more(less, more, rate)}
    waited = {name: float(np.mean([ends[job] for job in jobs if job in ends])) for name, jobs in tenants.items()}
    queued = (more + less / 2) / rate
    return {
        "wait_ratio": {name: round(waited[name] / fair[name], 3) for name in tenants},
        "first_come_first_served": round(queued / fair[few], 3),
    }


def _mean_of_more(less: int, more: int, rate: float) -> float:
    """Return the mean time at which the jobs of the tenant with more of them are done."""
    alone = 2 * less / rate  # from then on it has everything
    rest = more - less
    return (less * alone / 2 + rest * (alone + rest / rate / 2)) / more
