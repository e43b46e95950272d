"""Examines the workers: one for every queue, all of this version, and a beat that sends the regular look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kombu.exceptions import OperationalError

from jobs.errors import QueueUnavailable
from jobs.lengths import ALL_QUEUES
from jobs.live import LiveJobs, connect
from jobs.metrics import software_version
from jobs.queue import make_app
from jobs.record import now
from jobs.settings import Settings
from service.doctor.findings import Finding, Notes

_NOTES: Final = Notes("workers")
_SECONDS: Final = 2.0
_LATE: Final = 3


def examine_workers(settings: Settings) -> Iterator[Finding]:
    """Yield who answers for which queue, in which version, and when the last regular look was."""
    app = make_app(settings)
    app.conf.broker_connection_retry = False
    try:
        asked = app.control.inspect(timeout=_SECONDS)
        queues: Mapping[str, Any] = asked.active_queues() or {}
        replies = app.control.broadcast("cityzones_version", reply=True, timeout=_SECONDS) or []
    except (OperationalError, OSError) as error:
        yield _NOTES.fault("answers", f"nobody can be asked: {error}", "mend the broker first")
        return
    versions = {name: told for reply in replies for name, told in reply.items()}
    yield from _served(queues)
    yield from _versions(queues, versions)
    yield _beat(settings)


def _served(queues: Mapping[str, Any]) -> Iterator[Finding]:
    for queue in ALL_QUEUES:
        members = [name for name, told in queues.items() if any(q["name"] == queue for q in told)]
        if members:
            yield _NOTES.ok(queue, f"taken by {', '.join(sorted(members))}")
        else:
            yield _NOTES.fault(
                queue, "no worker that answers takes from it",
                f"start one: celery -A worker.tasks worker -Q {queue}; where they scale to zero: --skip workers",
            )  # fmt: skip


def _versions(queues: Mapping[str, Any], versions: Mapping[str, Any]) -> Iterator[Finding]:
    ours = software_version()
    found = {name: versions.get(name, {}).get("version", "unknown") for name in queues}
    others = [f"{name} runs {version}" for name, version in sorted(found.items()) if version != ours]
    if others:
        yield _NOTES.warning(
            "versions", f"{'; '.join(others)}, this is {ours}", "finish the upgrade: start those workers again"
        )
    elif found:
        yield _NOTES.ok("versions", f"all run {ours}")


def _beat(settings: Settings) -> Finding:
    mend = "start one worker of the queue jobs with --beat, or celery -A worker.tasks beat"
    try:
        ticked = LiveJobs(connect(settings.live_url)).ticked()
    except QueueUnavailable as error:
        return _NOTES.fault("beat", f"unknown: {error.detail}", "mend the live state first")
    if ticked is None:
        return _NOTES.fault("beat", "no regular look was ever taken: lost jobs stay lost", mend)
    ago = (now() - ticked).total_seconds()
    if ago > _LATE * settings.recover_every:
        return _NOTES.fault("beat", f"the last regular look was {ago:.0f} s ago", mend)
    return _NOTES.ok("beat", f"the last regular look was {ago:.0f} s ago")
