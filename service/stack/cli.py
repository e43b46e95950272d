"""The commands `cityzones up` and `cityzones demo`: the whole service on one machine."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from models.errors import CityzonesError
from service.stack.embedded import EmbeddedStack, told

console = Console(stderr=True)

Folder = Annotated[Path, typer.Option(help="Where the stack keeps jobs, uploads, logs and the sample.")]
Port = Annotated[int | None, typer.Option(help="Port of the service; a free one if absent.")]


def register(app: typer.Typer) -> None:
    """Add both commands to the command line."""
    app.command()(up)
    app.command()(demo)


def up(
    folder: Folder = Path(".cityzones"),
    port: Port = None,
    workers: Annotated[int | None, typer.Option(help="Celery worker processes; the cores if absent.")] = None,
) -> None:
    """Start Valkey, Triton, a worker and the service, print the URL, and keep them running until Ctrl-C."""
    stack = EmbeddedStack(folder, port=port, workers=workers)
    with _ended_by_signals() as ended, _told_plainly(), told(stack, console):
        typer.echo(stack.url)
        console.print(f"Cityzones is up at [bold]{stack.url}[/] - logs in {stack.logs} - Ctrl-C stops it")
        if stack.settings.auth == "open":
            console.print("open mode: no key is asked, everybody on this machine may do everything", style="yellow")
        while not ended.wait(2.0):
            failure = stack.failed()
            if failure:
                console.print(failure, style="red", markup=False)
                raise typer.Exit(1)


def demo(
    out: Annotated[Path, typer.Option(help="Folder the finished outputs are downloaded into.")] = Path("demo-output"),
    folder: Folder = Path(".cityzones/demo"),
) -> None:
    """Map the procedural sample city with everything for real, and check the map against the city's truth."""
    from service.stack.demo import run_demo  # noqa: PLC0415 - geopandas and friends only where they are needed

    started = time.monotonic()
    with _ended_by_signals(), _told_plainly():
        report = run_demo(folder, out, console)
    console.print(f"done in {time.monotonic() - started:.1f} s")
    report.seconds = round(time.monotonic() - started, 2)
    typer.echo(report.json())
    if report.faults:
        raise typer.Exit(1)


@contextmanager
def _ended_by_signals() -> Iterator[threading.Event]:
    """Turn SIGTERM and SIGHUP into an orderly end, as Ctrl-C is; yields an event set by any of them."""
    ended = threading.Event()

    def end(number: int, _: FrameType | None) -> None:
        ended.set()
        raise SystemExit(128 + number)

    # A shell starts background jobs with SIGINT ignored, and nohup does so with SIGHUP: only the latter is meant.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, end)
    try:
        yield ended
    except KeyboardInterrupt:
        console.print("stopping …")
        raise typer.Exit(130) from None


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except CityzonesError as error:
        console.print(error.detail, style="red", markup=False)
        raise typer.Exit(1) from error
