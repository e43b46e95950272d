"""The root of every error the project raises on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault inside a request: where it is (a JSON Pointer, or a parameter's name) and what is wrong."""

    pointer: str
    detail: str


class CityzonesError(Exception):
    """An error with a stable code, a sentence that says what to do, and optionally where each fault lies.

    Subclasses set `code`; the service maps codes to HTTP problems in one table, the worker writes
    `code` and `detail` into the failed job's record.
    """

    code = "internal"

    def __init__(self, detail: str, *, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)


class UnknownModel(CityzonesError):
    """No card of that name exists."""

    code = "unknown-model"


class BadCard(CityzonesError):
    """A model card does not describe a model that can be served."""

    code = "bad-card"


class WeightsUnavailable(CityzonesError):
    """Weights are missing, could not be fetched, or do not match their checksum."""

    code = "weights-unavailable"


class MissingExtra(CityzonesError):
    """A command needs a package that only the `train` extra installs."""

    code = "missing-extra"
