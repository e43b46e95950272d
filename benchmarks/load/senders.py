"""Sends jobs as a client in a hurry does: eight at a time, each answer looked at, nothing tried again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import httpx

_AT_ONCE: Final = 8
# What waits is counted once a second: who wants to be refused gives it time.
_PAUSE: Final = 1.1
_LATER: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(slots=True)
class Sent:
    """The jobs accepted; status and Retry-After of what was refused for now; how many had any other answer."""

    jobs: list[str] = field(default_factory=list)
    refused: list[tuple[int, str | None]] = field(default_factory=list)
    errors: int = 0

    def __add__(self, other: Sent) -> Sent:
        return Sent(self.jobs + other.jobs, self.refused + other.refused, self.errors + other.errors)

    def note(self, answer: httpx.Response | None) -> None:
        """Count one answer; None where there was none."""
        if answer is not None and answer.status_code == HTTPStatus.CREATED:
            self.jobs.append(answer.json()["jobID"])
        elif answer is not None and answer.status_code in _LATER:
            self.refused.append((answer.status_code, answer.headers.get("Retry-After")))
        else:
            self.errors += 1


def send(url: str, key: str, bodies: Iterator[dict[str, Any]], *, number: int, until_refused: bool = False) -> Sent:
    """Send that many jobs, or fewer where the first refusal is enough: then eight a second."""
    sent, headers = Sent(), {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client, ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in range(0, number, _AT_ONCE):
            batch = list(itertools.islice(bodies, min(_AT_ONCE, number)))
            for answer in pool.map(lambda body: _post(client, body), batch):
                sent.note(answer)
            if until_refused and sent.refused:
                break
            time.sleep(_PAUSE if until_refused else 0)
    return sent


def _post(client: httpx.Client, body: dict[str, Any]) -> httpx.Response | None:
    try:
        return client.post("/processes/local-climate-zones/execution", json=body)
    except httpx.HTTPError:
        return None
