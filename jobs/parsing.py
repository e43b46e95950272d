"""Checks what a client sent against a model, and words every fault, unknown names with the nearest known one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from jobs.errors import InvalidRequest
from models.errors import Fault

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Parts(Generic[T]):
    """The model of a body, and those of its parts by where they stand: their fields are told to who misspells one."""

    whole: type[T]
    parts: Mapping[tuple[str, ...], type[BaseModel]] = field(default_factory=dict)

    def fields_at(self, location: list[str]) -> list[str]:
        """Return the names that are known at a place of the body."""
        model = self.parts.get(tuple(location)) if location else self.whole
        return list(model.model_fields) if model else []


def parse_body(body: Any, known: Parts[T]) -> T:
    """Check a decoded JSON body; raises InvalidRequest with every fault."""
    if not isinstance(body, Mapping):
        msg = 'the body must be a JSON object like {"inputs": {...}}'
        raise InvalidRequest(msg, faults=[Fault("", "not an object")])
    try:
        return known.whole.model_validate(dict(body))
    except ValidationError as error:
        faults = [_fault(e, known) for e in error.errors(include_url=False, include_input=False)]
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if faults[1:] else ""
        msg = f"{first.pointer or 'the request'}: {first.detail}{more}"
        raise InvalidRequest(msg, faults=faults) from error


def _fault(error: Mapping[str, Any], known: Parts[T]) -> Fault:
    location = [str(part) for part in error["loc"] if part != "[key]"]
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in location)
    if error["type"] != "extra_forbidden":
        return Fault(pointer, re.sub(r"^Value error, ", "", str(error["msg"])))
    names = known.fields_at(location[:-1])
    near = difflib.get_close_matches(location[-1], names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"
    return Fault(pointer, f"unknown field {location[-1]!r}{hint}")
