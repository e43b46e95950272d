"""The Celery tasks: plan a job, map a block, assemble a job, tell subscribers, and bring back what was lost."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.signals import task_postrun, worker_process_init

from jobs.errors import ImageryUnavailable, InferenceUnavailable, QueueUnavailable, StorageUnavailable
from jobs.expiry import expire_jobs
from jobs.idempotency import IdempotencyKeys
from jobs.logs import Level
from jobs.pace import Pace
from jobs.plan import Plan
from jobs.queue import ASSEMBLE, BLOCK, DELIVER, EXPIRE, PLAN, RECOVER, REPORT, enqueue, make_app
from jobs.record import now
from jobs.recover import recover, recover_callbacks
from jobs.settings import Settings
from jobs.uploads.expiry import expire_uploads
from models.errors import WeightsUnavailable
from worker.callbacks.delivery import deliver, report_progress
from worker.callbacks.telling import tell_end, tell_progress
from worker.context import Context
from worker.memory import bound_memory, give_back
from worker.pipeline.assembly import assemble
from worker.pipeline.mapping import leave_unread, map_block, marker_key
from worker.pipeline.planning import make_plan
from worker.pipeline.steps import ATTEMPTS, step, still_wanted

bound_memory()
settings = Settings()
logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
for name in ("cityzones", "worker", "jobs"):
    logging.getLogger(name).setLevel(settings.log_level)
log = logging.getLogger("cityzones.worker")
app = make_app(settings)

_contexts: list[Context] = [Context(settings, app)]

_OPTIONS: dict[str, Any] = {
    "autoretry_for": (
        ImageryUnavailable,
        InferenceUnavailable,
        QueueUnavailable,
        StorageUnavailable,
        WeightsUnavailable,
    ),
    "max_retries": ATTEMPTS,
    "retry_backoff": 2,
    "retry_backoff_max": 60,
}


@worker_process_init.connect
def _connect_after_fork(**_: Any) -> None:
    """Give every forked process connections of its own."""
    _contexts[0] = Context(settings, app)


@task_postrun.connect
def _give_memory_back(**_: Any) -> None:
    give_back()


@app.task(name=PLAN, **_OPTIONS)
def plan_job(job: str) -> None:
    """Plan a job and enqueue its blocks; a job of one block is finished right here."""
    context = _contexts[0]
    with step(context, job, "plan") as attempt:
        if not attempt.wanted:
            return
        context.live.update(job, state="running", started=_started(context, job))
        tell_progress(context, job)
        plan = make_plan(context, job)
        todo = _unmapped(context, plan)
        _announce(context, plan)
        told = f"{plan.km2:.4g} km2 with {plan.model}: {len(plan.blocks)} blocks, {len(todo)} to map"
        _tell(context, job, "plan", told)
        if len(plan.blocks) == 1:
            _map(context, plan, plan.blocks[0].id, last=attempt.last)
            _finish(context, plan)
            return
        for block in todo:
            enqueue(app, BLOCK, job, block)
        if not todo:
            enqueue(app, ASSEMBLE, job)


@app.task(name=BLOCK, **_OPTIONS)
def block_task(job: str, block: str) -> None:
    """Map one block of a planned job; the last one enqueues the assembly."""
    context = _contexts[0]
    with step(context, job, block) as attempt:
        plan = context.store.plan(job) if attempt.wanted else None
        if plan is None:
            return
        if _map(context, plan, block, last=attempt.last) >= len(plan.blocks):
            enqueue(app, ASSEMBLE, job)


@app.task(name=ASSEMBLE, **_OPTIONS)
def assemble_job(job: str) -> None:
    """Turn the blocks of a job into its outputs; blocks that are missing after all are enqueued again."""
    context = _contexts[0]
    with step(context, job, "assemble") as attempt:
        plan = context.store.plan(job) if attempt.wanted else None
        if plan is None:
            return
        missing = _unmapped(context, plan)
        if missing:
            enqueue(app, PLAN, job)
            return
        _finish(context, plan)


@app.task(name=RECOVER)
def recover_jobs() -> None:
    """Enqueue jobs without an end that show no life, and callbacks that are due."""
    context = _contexts[0]
    recover(context.store, app, settings)
    recover_callbacks(context.store, app, settings)


@app.task(name=DELIVER, **_OPTIONS)
def deliver_callback(job: str) -> None:
    """Tell a job's end to its subscriber, if that is due."""
    deliver(_contexts[0], job)


@app.task(name=REPORT)
def report(job: str, tenth: str) -> None:
    """Tell a job's progress to its subscriber; what cannot be told now is not told later."""
    report_progress(_contexts[0], job, tenth)


@app.task(name=EXPIRE)
def expire() -> None:
    """Delete what has been kept as long as was told."""
    context = _contexts[0]
    expire_jobs(context.store)
    expire_uploads(context.uploads, context.store, now())
    IdempotencyKeys(context.storage).forget_old()


def _map(context: Context, plan: Plan, block: str, *, last: bool) -> int:
    """Map a block and return how many of the job are mapped; one that can never be read is left empty."""
    started = time.monotonic()
    chosen = next(b for b in plan.blocks if b.id == block)
    try:
        map_block(context, plan, chosen, still_wanted=still_wanted(context, plan.job))
    except ImageryUnavailable as error:
        if not last:
            raise
        _tell(context, plan.job, block, f"left empty: {error.detail}", level="warning")
        leave_unread(context, plan, chosen, error.detail)
    _tell(context, plan.job, block, f"mapped in {time.monotonic() - started:.2f} s")
    done = context.live.block_done(plan.job, block)
    tell_progress(context, plan.job)
    live = context.live.read(plan.job)
    if live and live.blocks_total:
        return done
    _announce(context, plan)
    return len(plan.blocks) - len(_unmapped(context, plan))


def _finish(context: Context, plan: Plan) -> None:
    started = time.monotonic()
    _tell(context, plan.job, "assemble", f"putting {len(plan.blocks)} blocks together")
    assemble(context, plan, still_wanted=still_wanted(context, plan.job))
    tell_end(context, plan.job)
    Pace(context.live).note(plan, context.store.read(plan.job))
    log.info("%s assembled in %.2f s", plan.job, time.monotonic() - started)


def _tell(context: Context, job: str, step: str, message: str, *, level: Level = "info") -> None:
    """Say something to the job's owner and to the operator."""
    log.log(logging.getLevelNamesMapping()[level.upper()], "%s %s: %s", job, step, message)
    context.store.logs.write(job, step, message, level=level)


def _announce(context: Context, plan: Plan) -> None:
    """Write the live record of a planned job, also where Redis has forgotten it."""
    started = _started(context, plan.job)
    context.live.update(plan.job, state="running", started=started, phase="mapping", blocks_total=len(plan.blocks))
    for warned in plan.warnings:
        context.live.warn(plan.job, warned)
        context.store.logs.write(plan.job, "plan", warned.detail, level="warning")


def _unmapped(context: Context, plan: Plan) -> list[str]:
    """Return the blocks without a marker in storage, and tell Redis of those with one."""
    found = set(context.storage.keys(f"jobs/{plan.job}/blocks"))
    done = [b.id for b in plan.blocks if marker_key(plan.job, b.id) in found]
    context.live.block_done(plan.job, *done)
    return [b.id for b in plan.blocks if b.id not in set(done)]


def _started(context: Context, job: str) -> str:
    live = context.live.read(job)
    return (live.started if live and live.started else now()).isoformat()
