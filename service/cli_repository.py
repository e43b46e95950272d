"""`cityzones models publish-repository | fetch-repository | probe`: what model servers load, and whether they live."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from jobs.probing import known_models, probe
from jobs.published import Published
from jobs.published import fetch as fetch_published
from jobs.published import publish as publish_folder
from jobs.settings import Settings
from jobs.storage import Storage
from models.cards import cards
from models.errors import CityzonesError
from models.promptable import add_promptable
from models.served import repository_models
from models.serving import Accelerator, build_repository
from service.cli_map import FAILED, console, say_problem
from service.vitality import Vitality, VitalityServer, alive, described

_STALE_PROBES: Final = 3


def register(app: typer.Typer) -> None:
    """Add the three commands to `cityzones models`."""
    app.command("publish-repository")(publish)
    app.command("fetch-repository")(fetch)
    app.command("probe")(probe_server)


def publish(
    accelerator: Annotated[Accelerator, typer.Option(help="Whose configuration is the repository's default.")] = "cpu",
) -> None:
    """Write every model whose weights are here into object storage, for model servers to fetch.

    Both configurations go along, whichever is the default. Harmless if nothing has changed. The last line is JSON.
    """
    with _told_plainly() as settings, tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        build_repository(repository, cards().values(), accelerator=accelerator, cache=settings.weights_cache)
        if settings.annotation_models:
            add_promptable(repository, settings.annotation_models, accelerator=accelerator)
        _say(publish_folder(Storage(settings), repository))


def fetch(
    destination: Annotated[Path, typer.Argument(metavar="DEST", file_okay=False, help="The repository's folder.")],
    version: Annotated[int | None, typer.Option(min=1, help="Number of a manifest; the newest if absent.")] = None,
) -> None:
    """Make DEST hold the published models, verified by their SHA-256; harmless if it does. The last line is JSON."""
    with _told_plainly() as settings:
        _say(fetch_published(Storage(settings), destination, number=version))


def probe_server(
    url: Annotated[str | None, typer.Option(help="host:port of its gRPC; CITYZONES_TRITON_URL if absent.")] = None,
    repository: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Every model of this folder must answer, not only those served."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a model has for its answer.")] = 10.0,
    serve: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port: keep probing, answer /ready, /live.")
    ] = None,
    every: Annotated[float, typer.Option(min=1.0, help="Seconds between probes, with --serve.")] = 10.0,
) -> None:
    """Ask a model server for a real inference of every model it has; exits 1 where one fails. The last line is JSON."""
    with _told_plainly() as settings:
        at = url or settings.triton_url
        look = partial(_probe, at, repository, timeout)
        if serve is None:
            answers = look()
            sys.stdout.write(json.dumps({"url": at, "models": described(answers)}) + "\n")
            if not alive(answers):
                raise typer.Exit(FAILED)
            return
        stale = _STALE_PROBES * (every + timeout)
        with VitalityServer(Vitality(look, stale=stale), port=serve, every=every) as server:
            console.print(f"/ready and /live at port {server.port}, of the models at {at}", markup=False)
            server.wait()


def _probe(url: str, repository: Path | None, timeout: float) -> list[Any]:
    """Probe the models that the server is to have; those of a folder must be there."""
    if repository is None:
        return probe(url, known_models(), timeout=timeout)
    answers = probe(url, repository_models(repository), timeout=timeout)
    return [told.demanded() for told in answers]


def _say(done: Published) -> None:
    size = sum(file.size for file in done.manifest.files)
    told = {"version": done.number, "models": done.manifest.models, "files": len(done.manifest.files), "bytes": size}
    sys.stdout.write(json.dumps(told | {"written": done.fresh}) + "\n")


@contextmanager
def _told_plainly() -> Iterator[Settings]:
    try:
        yield Settings()
    except ValidationError as error:
        say_problem({"detail": error.errors()[0]["msg"]})
        raise typer.Exit(FAILED) from error
    except CityzonesError as error:
        say_problem({"detail": error.detail})
        raise typer.Exit(FAILED) from error
