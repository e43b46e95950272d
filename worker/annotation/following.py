"""What follows a project: planned at one version of it, its outputs written before it ends."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import TypeAdapter

from jobs.annotation.following import board_at, check_project_of
from jobs.annotation.plan import FollowingPlan, freeze_plan, read_plan
from jobs.annotation.request import Following, ProjectExecute, parse_annotation
from jobs.blocks import marker_key
from jobs.record import OutputFile, ResultRecord, now
from worker.context import Context

_OUTPUTS = TypeAdapter(dict[str, OutputFile])


def asked_of(context: Context, job: str) -> Following:
    """Return what was asked."""
    request = context.store.request(job)
    asked = parse_annotation(request.process, request.execute)
    assert not isinstance(asked, ProjectExecute)  # noqa: S101 - projects follow none
    return asked


def plan_following(context: Context, job: str) -> FollowingPlan:
    """Return the plan, making it if there is none yet: the newest version of the project; raises InvalidRequest."""
    known = read_plan(context.storage, job, FollowingPlan)
    if known is not None:
        return known
    asked = asked_of(context, job)
    check_project_of(context.store, asked, tenant=context.store.head(job).tenant)
    version, _ = board_at(context.store, asked.inputs.project)
    return freeze_plan(context.storage, FollowingPlan(job=job, project=asked.inputs.project, version=version))


def put_output(context: Context, job: str, source: Path | bytes, *, name: str, kind: str, title: str) -> OutputFile:
    """Store a file that a client gets, and return its record."""
    key = f"jobs/{job}/outputs/{name}"
    context.storage.put(key, source, content_type=kind)
    if isinstance(source, Path):
        with source.open("rb") as file:
            digest, size = hashlib.file_digest(file, "sha256").hexdigest(), source.stat().st_size
    else:
        digest, size = hashlib.sha256(source).hexdigest(), len(source)
    return OutputFile(key=key, media_type=kind, title=title, size=size, sha256=digest, filename=name)


def note_done(context: Context, job: str, block: str, outputs: dict[str, OutputFile]) -> None:
    """Write the marker of the one block, which holds the records of its outputs."""
    context.storage.put(marker_key(job, block), _OUTPUTS.dump_json(outputs))


def finish_following(context: Context, plan: FollowingPlan) -> None:
    """Write result.json from what the block noted."""
    data = context.storage.get(marker_key(plan.job, plan.blocks[0]))
    assert data is not None  # noqa: S101 - the end comes after the block
    outputs = _OUTPUTS.validate_json(data)
    context.store.finish(ResultRecord(job=plan.job, finished=now(), outputs=outputs, warnings=plan.warnings))
