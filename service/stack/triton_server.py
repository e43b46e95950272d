"""The foreground of the Triton image: the embedded server on Triton's own ports, looked after until SIGTERM.

Run as `python -m service.stack.triton_server REPOSITORY`; with `--check` it asks the server that runs beside it for a
real inference of every model, and exits 1 where one does not answer.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Final

from models.errors import CityzonesError
from models.served import repository_models
from service.stack.process import StackFailed
from service.stack.triton import EmbeddedTriton, Listening
from service.stack.triton_control import TritonControl

LOG: Final = logging.getLogger(__name__)
PORTS: Final = Listening(
    "0.0.0.0",  # noqa: S104 - a container's own addresses
    http=8000,
    grpc=8001,
    metrics=8002,
    renew_seconds=60,
)
CHECK_SECONDS: Final = 8.0
_LOOK_SECONDS: Final = 1.0


def main(words: list[str] | None = None) -> int:
    """Serve or check, as the words of the command line say, and return the exit status."""
    parser = argparse.ArgumentParser(prog="triton_server", description="Serve a model repository, or check that it is.")
    parser.add_argument("repository", type=Path)
    parser.add_argument("--check", action="store_true", help="infer with every model of the server that runs here")
    told = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        models = _models(told.repository)
        return check(models) if told.check else serve(told.repository, models)
    except CityzonesError as error:
        LOG.error("%s", error.detail)  # noqa: TRY400 - the detail says it all
        return 1


def serve(repository: Path, models: list[str], *, listening: Listening = PORTS) -> int:
    """Serve every model of a repository until a signal; return 1 where supervision had to give the server up."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with EmbeddedTriton(repository, models=models, listening=listening, aloud=True) as triton:
        LOG.info("serving %s", ", ".join(models))
        while not ended.wait(_LOOK_SECONDS):
            if triton.given_up:
                return 1
    return 0


def check(models: list[str], *, listening: Listening = PORTS) -> int:
    """Infer once with every model; raises ModelFailed where one does not answer."""
    control = TritonControl(f"http://127.0.0.1:{listening.http}", key="", timeout=CHECK_SECONDS)
    try:
        for model in models:
            control.probe(model)
    finally:
        control.close()
    return 0


def _models(repository: Path) -> list[str]:
    models = repository_models(repository)
    if not models:
        msg = f"{repository} holds no model; fill it first: cityzones models fetch-repository {repository}"
        raise StackFailed(msg)
    return models


if __name__ == "__main__":
    sys.exit(main())
