"""Sends one message to one URI: no proxy, no cookie, few redirects, and every address checked before it is used."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urljoin

import httpcore

from jobs.callbacks.rules import LookUp, Rules, look_up
from jobs.callbacks.targets import Target, parse_target
from jobs.errors import CallbackRefused
from jobs.settings import Settings
from worker.callbacks.connection import CONNECT_SECONDS, CheckedBackend, Deadline, trust

MAX_REDIRECTS: Final = 3
# Those that keep the method and the body; after any other a receiver would be asked something else.
_REDIRECTS: Final = frozenset({307, 308})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of sending: the receiver's status where it answered, a sentence, and the seconds it asks to wait."""

    detail: str
    status: int | None = None
    retry_after: float | None = None

    @property
    def accepted(self) -> bool:
        """Whether the receiver has the message."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants nothing more sent there."""
        return self.status == 410  # noqa: PLR2004 - HTTP's


def post(uri: str, body: bytes, headers: Mapping[str, str], settings: Settings, *, ask: LookUp = look_up) -> Answer:
    """POST a body, following at most three redirects; whatever goes wrong is told in the answer, never raised.

    All of it together takes at most `settings.callback_timeout` seconds, and the look-ups of names theirs. The body of
    the answer is not read.
    """
    way = _Way(settings, Deadline(settings.callback_timeout), ask)
    try:
        for _ in range(MAX_REDIRECTS + 1):
            status, received = way.post(parse_target(uri), body, headers)
            if status not in _REDIRECTS:
                return Answer(f"answered {status}", status, _wait(received.get("retry-after")))
            uri = _follow(uri, received.get("location", ""))
    except CallbackRefused as error:
        return Answer(f"not sent: {error.detail}")
    except httpcore.TimeoutException:
        return Answer(f"no answer within {settings.callback_timeout:g} s")
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        return Answer(_plainly(error))
    return Answer(f"more than {MAX_REDIRECTS} redirects")


@dataclass(frozen=True, slots=True)
class _Way:
    settings: Settings
    deadline: Deadline
    ask: LookUp

    def post(self, target: Target, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        """Return status and headers (names in lower case); raises CallbackRefused or httpcore's errors."""
        rules = Rules.of(self.settings)
        rules.check_scheme(target)
        url = httpcore.URL(
            scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
        )
        backend = CheckedBackend(rules, self.deadline, self.ask)
        limits = {"timeout": {"connect": CONNECT_SECONDS, "read": None, "write": None, "pool": None}}
        sent = [("Host", target.authority), ("User-Agent", "Cityzones"), *headers.items()]
        with (
            httpcore.ConnectionPool(trust(self.settings.callback_ca), network_backend=backend) as pool,
            pool.stream("POST", url, headers=sent, content=body, extensions=limits) as answer,
        ):
            return answer.status, {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in answer.headers}


def _follow(uri: str, location: str) -> str:
    try:
        return urljoin(uri, location)
    except ValueError as error:
        raise CallbackRefused("the receiver's redirect leads to no URI") from error


def _wait(told: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which tells seconds or a date; None where it tells neither."""
    if told is None:
        return None
    if told.isascii() and told.isdigit():
        return float(told[:9])
    try:
        date = parsedate_to_datetime(told)
    except ValueError:
        return None
    return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - time.time())


def _plainly(error: Exception) -> str:
    """Say what failed without the system's own words, which may tell of the network."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "the receiver's certificate is not good"
    return "the receiver cannot be reached" if isinstance(error, httpcore.NetworkError) else "no HTTP was answered"
