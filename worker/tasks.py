"""The Celery tasks: plan a job, map a block, assemble a job, and bring back lost jobs."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.signals import task_postrun, worker_process_init

from jobs.errors import ImageryUnavailable, InferenceUnavailable, QueueUnavailable, StorageUnavailable
from jobs.plan import Plan
from jobs.queue import ASSEMBLE, BLOCK, PLAN, RECOVER, enqueue, make_app
from jobs.record import now
from jobs.recover import recover
from jobs.settings import Settings
from models.errors import WeightsUnavailable
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
        plan = make_plan(context, job)
        todo = _unmapped(context, plan)
        _announce(context, plan)
        log.info(
            "%s planned: %s, %.4g km2, %d blocks, %d to map", job, plan.model, plan.km2, len(plan.blocks), len(todo)
        )
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
    """Enqueue jobs without an end that show no life."""
    context = _contexts[0]
    recover(context.store, app, settings)


def _map(context: Context, plan: Plan, block: str, *, last: bool) -> int:
    """Map a block and return how many of the job are mapped; one that can never be read is left empty."""
    started = time.monotonic()
    chosen = next(b for b in plan.blocks if b.id == block)
    try:
        map_block(context, plan, chosen, still_wanted=still_wanted(context, plan.job))
    except ImageryUnavailable as error:
        if not last:
            raise
        log.warning("%s block %s is left empty: %s", plan.job, block, error.detail)
        leave_unread(context, plan, chosen, error.detail)
    log.info("%s block %s mapped in %.2f s", plan.job, block, time.monotonic() - started)
    done = context.live.block_done(plan.job, block)
    live = context.live.read(plan.job)
    if live and live.blocks_total:
        return done
    _announce(context, plan)
    return len(plan.blocks) - len(_unmapped(context, plan))


def _finish(context: Context, plan: Plan) -> None:
    started = time.monotonic()
    assemble(context, plan, still_wanted=still_wanted(context, plan.job))
    log.info("%s assembled in %.2f s", plan.job, time.monotonic() - started)


def _announce(context: Context, plan: Plan) -> None:
    """Write the live record of a planned job, also where Redis has forgotten it."""
    started = _started(context, plan.job)
    context.live.update(plan.job, state="running", started=started, phase="mapping", blocks_total=len(plan.blocks))
    for warned in plan.warnings:
        context.live.warn(plan.job, warned)


def _unmapped(context: Context, plan: Plan) -> list[str]:
    """Return the blocks without a marker in storage, and tell Redis of those with one."""
    found = set(context.storage.keys(f"jobs/{plan.job}/blocks"))
    done = [b.id for b in plan.blocks if marker_key(plan.job, b.id) in found]
    context.live.block_done(plan.job, *done)
    return [b.id for b in plan.blocks if b.id not in set(done)]


def _started(context: Context, job: str) -> str:
    live = context.live.read(job)
    return (live.started if live and live.started else now()).isoformat()
