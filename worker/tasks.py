"""The Celery tasks: plan a job, map a block, assemble a job, tell subscribers, and bring back what was lost."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from celery.signals import task_postrun, worker_process_init

from jobs.blocks import done_blocks, marker_key
from jobs.errors import QueueUnavailable, StorageUnavailable
from jobs.expiry import expire_jobs
from jobs.idempotency import IdempotencyKeys
from jobs.queue import DELIVER, EXPIRE, RECOVER, REPORT, make_app
from jobs.record import now
from jobs.recover import recover, recover_callbacks
from jobs.settings import Settings
from jobs.uploads.expiry import expire_uploads
from jobs.work import ASSEMBLE, BLOCK, PLAN
from jobs.work import Work as Piece
from worker.callbacks.delivery import deliver, report_progress
from worker.callbacks.telling import tell_end, tell_progress
from worker.context import Context
from worker.heartbeat import beat_for
from worker.memory import bound_memory, give_back
from worker.pipeline.steps import ATTEMPTS, step, tell
from worker.sight import watch
from worker.turns import turn
from worker.works import Work, plan_work, planned_work

bound_memory()
settings = Settings()
log = logging.getLogger("cityzones.worker")
app = make_app(settings)
watch(app, settings)

_contexts: list[Context] = [Context(settings, app)]
beat_for(_contexts[0])

_DELIVERY: Final[dict[str, Any]] = {
    "autoretry_for": (QueueUnavailable, StorageUnavailable),
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


@app.task(name=PLAN, bind=True)
def plan_job(task: Any, job: str) -> None:
    """Plan a job, or do what is next in turn."""
    _do(task, job)


@app.task(name=BLOCK, bind=True)
def block_task(task: Any, job: str, block: str) -> None:
    """Map one block of a planned job, or do what is next in turn."""
    _do(task, job, block)


@app.task(name=ASSEMBLE, bind=True)
def assemble_job(task: Any, job: str) -> None:
    """Turn the blocks of a job into its outputs, or do what is next in turn."""
    _do(task, job)


def _do(task: Any, *arguments: str) -> None:
    with turn(task, _contexts[0], list(arguments)) as piece:
        if piece is not None:
            _PIECES[piece.task](_contexts[0], piece)


def _plan(context: Context, piece: Piece) -> None:
    """Plan a job and enqueue its blocks; a job of one block is finished right here."""
    job = piece.job
    with step(context, job, piece.step) as attempt:
        if not attempt.wanted:
            return
        context.live.update(job, state="running", started=_started(context, job))
        tell_progress(context, job)
        work = plan_work(context, job)
        todo = _undone(context, work)
        _announce(context, work)
        tell(context, job, "plan", f"{work.told}: {len(work.blocks)} blocks, {len(todo)} to do")
        if len(work.blocks) == 1:
            _run(context, work, work.blocks[0], last=attempt.last)
            _finish(context, work)
            return
        context.queue.send(*(Piece(task=BLOCK, job=job, block=block, tenant=piece.tenant) for block in todo))
        if not todo:
            context.queue.send(Piece(task=ASSEMBLE, job=job, tenant=piece.tenant))


def _map(context: Context, piece: Piece) -> None:
    """Map one block of a planned job; the last one enqueues the assembly."""
    block = piece.step
    with step(context, piece.job, block) as attempt:
        work = planned_work(context, piece.job) if attempt.wanted else None
        if work is None:
            return
        if _run(context, work, block, last=attempt.last) >= len(work.blocks):
            context.queue.send(Piece(task=ASSEMBLE, job=piece.job, tenant=piece.tenant))


def _assemble(context: Context, piece: Piece) -> None:
    """Turn the blocks of a job into its outputs; blocks that are missing after all are enqueued again."""
    with step(context, piece.job, piece.step) as attempt:
        work = planned_work(context, piece.job) if attempt.wanted else None
        if work is None:
            return
        if _undone(context, work):
            context.queue.send(Piece(task=PLAN, job=piece.job, tenant=piece.tenant))
            return
        _finish(context, work)


_PIECES: Final = {PLAN: _plan, BLOCK: _map, ASSEMBLE: _assemble}


@app.task(name=RECOVER)
def recover_jobs() -> None:
    """Enqueue jobs without an end that show no life, and callbacks that are due."""
    context = _contexts[0]
    recover(context.store, context.queue, settings)
    recover_callbacks(context.store, app, settings)


@app.task(name=DELIVER, **_DELIVERY)
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


def _run(context: Context, work: Work, block: str, *, last: bool) -> int:
    """Do a block and return how many of the job are done."""
    if context.storage.size(marker_key(work.job, block)) is None:
        started = time.monotonic()
        work.run(block, last=last)
        tell(context, work.job, block, f"done in {time.monotonic() - started:.2f} s")
    done = context.live.block_done(work.job, block)
    tell_progress(context, work.job)
    live = context.live.read(work.job)
    if live and live.blocks_total:
        return done
    _announce(context, work)
    return len(work.blocks) - len(_undone(context, work))


def _finish(context: Context, work: Work) -> None:
    started = time.monotonic()
    tell(context, work.job, "assemble", f"putting {len(work.blocks)} blocks together")
    work.finish()
    tell_end(context, work.job)
    work.note_pace()
    log.info("%s assembled in %.2f s", work.job, time.monotonic() - started)


def _announce(context: Context, work: Work) -> None:
    """Write the live record of a planned job, also where Redis has forgotten it."""
    started = _started(context, work.job)
    context.live.update(work.job, state="running", started=started, phase=work.phase, blocks_total=len(work.blocks))
    for warned in work.warnings:
        context.live.warn(work.job, warned)
        context.store.logs.write(work.job, "plan", warned.detail, level="warning")


def _undone(context: Context, work: Work) -> list[str]:
    """Return the blocks without a marker in storage, and tell Redis of those with one."""
    found = done_blocks(context.storage, work.job)
    context.live.block_done(work.job, *(block for block in work.blocks if block in found))
    return [block for block in work.blocks if block not in found]


def _started(context: Context, job: str) -> str:
    live = context.live.read(job)
    return (live.started if live and live.started else now()).isoformat()
