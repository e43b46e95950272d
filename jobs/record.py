"""What is known of a job: its states, the transitions between them, its progress, its end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from jobs.errors import WrongTransition

State = Literal["accepted", "running", "successful", "failed", "dismissed"]

_NEXT: Final[dict[State, frozenset[State]]] = {
    "accepted": frozenset({"accepted", "running", "failed", "dismissed"}),
    "running": frozenset({"running", "successful", "failed", "dismissed"}),
    "successful": frozenset({"dismissed"}),
    "failed": frozenset({"dismissed"}),
    "dismissed": frozenset(),
}
FINAL_STATES: Final[frozenset[State]] = frozenset({"successful", "failed", "dismissed"})


def check_transition(old: State, new: State) -> None:
    """Raise WrongTransition unless a job may move from one state to the other."""
    if new not in _NEXT[old]:
        msg = f"a job that is {old} cannot become {new}"
        raise WrongTransition(msg)


def now() -> datetime:
    """Return the present second in UTC."""
    return datetime.now(UTC).replace(microsecond=0)


def _past(moment: datetime | None) -> bool:
    return moment is not None and moment <= now()


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Warned(_Record):
    """Something the client should know although the job goes on: a stable code and a sentence."""

    code: str
    detail: str


# Whose everything is where the service asks for no key.
PUBLIC: Final = "public"


class RequestHead(NamedTuple):
    """What of a request every look at its job needs; `subscribed` says that somebody waits to be told of its end.

    `title` is what people call the job, where they do; `traceparent` the span that all its steps are below.
    """

    process: str
    tenant: str
    created: datetime
    subscribed: bool
    title: str | None
    traceparent: str | None = None


class RequestRecord(_Record):
    """jobs/<job>/request.json: the job exists because this exists. `tenant` is whose it is.

    `traceparent` is there only where the request was traced, so that without traces the bytes are those of old.
    """

    job: str
    process: str
    tenant: str = PUBLIC
    created: datetime
    execute: dict[str, Any]
    traceparent: str | None = None

    @property
    def head(self) -> RequestHead:
        """The little that every look at the job needs."""
        subscribed = bool(self.execute.get("subscriber"))
        title = self.execute.get("inputs", {}).get("title")
        return RequestHead(self.process, self.tenant, self.created, subscribed, title, self.traceparent)


class OutputFile(_Record):
    """One finished output: where it lies, what it is, how large, and its SHA-256."""

    key: str
    media_type: str
    title: str
    size: int
    sha256: str
    filename: str


class ResultRecord(_Record):
    """jobs/<job>/result.json: the job is finished because this exists.

    `coverage` is the share (0-1) of the area of interest that has a class; from `deletes` on the outputs are gone,
    whether or not somebody has tidied up yet.
    """

    job: str
    finished: datetime
    deletes: datetime | None = None
    outputs: dict[str, OutputFile]
    coverage: float | None = None
    warnings: tuple[Warned, ...] = ()

    @property
    def deleted(self) -> bool:
        """Whether the outputs are gone by now."""
        return _past(self.deletes)


class FailureRecord(_Record):
    """jobs/<job>/failure.json: the job failed because this exists."""

    job: str
    finished: datetime
    code: str
    detail: str
    faults: tuple[dict[str, str], ...] = ()


class CancelRecord(_Record):
    """jobs/<job>/cancelled.json: the job was dismissed because this exists."""

    job: str
    finished: datetime


Ending = ResultRecord | FailureRecord | CancelRecord


class LiveRecord(_Record):
    """Progress kept in Redis; it may vanish at any time and is then rebuilt."""

    state: State = "accepted"
    started: datetime | None = None
    updated: datetime | None = None
    phase: str = "waiting for a worker"
    blocks_done: int = 0
    blocks_total: int = 0
    warnings: tuple[Warned, ...] = ()

    @property
    def progress(self) -> int:
        """Percent done: planning 5, blocks 75, assembly 20."""
        if self.state == "accepted" or not self.blocks_total:
            return 0
        return 5 + int(75 * self.blocks_done / self.blocks_total)


class CallbackState(_Record):
    """How the callback that tells a job's end stands; `status` is what the receiver answered last."""

    state: Literal["pending", "delivered", "given-up"]
    attempts: int
    updated: datetime | None = None
    status: int | None = None
    detail: str | None = None
    next: datetime | None = None


class JobRecord(_Record):
    """A job as the interface shows it, put together from storage (truth) and Redis (progress)."""

    job: str
    process: str
    title: str | None = None
    state: State
    created: datetime
    started: datetime | None = None
    updated: datetime | None = None
    finished: datetime | None = None
    progress: int = Field(0, ge=0, le=100)
    message: str = ""
    blocks_done: int = 0
    blocks_total: int = 0
    warnings: tuple[Warned, ...] = ()
    coverage: float | None = None
    deletes: datetime | None = None
    failure: FailureRecord | None = None
    callbacks: dict[str, CallbackState] | None = None

    @property
    def deleted(self) -> bool:
        """Whether the outputs are gone by now, as was told when the job ended."""
        return _past(self.deletes)


def told(ending: Ending) -> dict[str, Any]:
    """Return what an end says of a JobRecord."""
    common: dict[str, Any] = {"finished": ending.finished}
    if isinstance(ending, CancelRecord):
        return common | {"state": "dismissed", "message": "dismissed on request"}
    if isinstance(ending, FailureRecord):
        return common | {"state": "failed", "message": ending.detail, "failure": ending}
    facts = {"progress": 100, "coverage": ending.coverage, "warnings": ending.warnings, "deletes": ending.deletes}
    message = "the results are ready"
    if ending.deleted:
        message = f"the results were ready; their data were deleted on {ending.deletes:%Y-%m-%d}, as was told"
    return common | facts | {"state": "successful", "message": message}
