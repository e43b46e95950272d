"""How logs are written: lines for people, or JSON objects for programs, each with the job, step, trace and request."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal

from pythonjsonlogger.json import JsonFormatter

from jobs.keys import KEY_TEXT
from jobs.settings import Settings
from jobs.tracing import trace_id

OURS: Final = ("cityzones", "worker", "jobs", "service", "models")
_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_FIELDS: Final = {"timestamp": "time", "levelname": "level", "name": "logger"}

Subject = Literal["job", "step", "block", "request"]
_SUBJECTS: Final[dict[Subject, ContextVar[str | None]]] = {
    "job": ContextVar("job", default=None),
    "step": ContextVar("step", default=None),
    "block": ContextVar("block", default=None),
    "request": ContextVar("request", default=None),
}


@contextmanager
def about(**subjects: str | None) -> Iterator[None]:
    """Let every line of a block say what it is about: `job`, `step`, `block` or `request`."""
    tokens = [(_SUBJECTS[name], _SUBJECTS[name].set(value)) for name, value in subjects.items()]  # type: ignore[index]  # the names above; any other is a KeyError
    try:
        yield
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)


class _Masked(logging.Formatter):
    """Lines for people, with keys taken out."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback follows it."""
        return KEY_TEXT.sub(r"cz_\1_…", super().format(record))


class JsonLines(JsonFormatter):
    """One JSON object a record, on one line, tracebacks included, with keys taken out."""

    def __init__(self) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s", timestamp=True, rename_fields=dict(_FIELDS), json_ensure_ascii=False
        )

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Put what the line is about behind its message, and leave out what libraries add of their own."""
        super().add_fields(log_data, record, message_dict)
        known = {*_FIELDS, *_FIELDS.values(), "message", "exc_info", "stack_info"}
        for name in [name for name in log_data if name not in known]:
            del log_data[name]
        told = {name: variable.get() for name, variable in _SUBJECTS.items()} | {"trace": trace_id()}
        log_data.update({name: value for name, value in told.items() if value is not None})

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return KEY_TEXT.sub(r"cz_\1_…", super().format(record))


def start_logging(settings: Settings) -> None:
    """Let every logger of this process write to standard error, in the settings' form, and nothing twice.

    Libraries write from WARNING on, this program from the settings' level on.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if settings.log_format == "json" else _Masked(_TEXT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in list(root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in OURS:
        logging.getLogger(name).setLevel(settings.log_level)
    logging.captureWarnings(capture=True)
