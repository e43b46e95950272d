from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import jobs
import models
import service
from jobs.public import problems
from models.errors import CityzonesError, Fault

ROOT = Path(__file__).resolve().parents[2]
# Runs inside Triton, whose modules only exist there.
_LEFT_OUT = "models.repository"


def _modules() -> Iterator[str]:
    for room in (jobs, models, service):
        for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            if not found.name.startswith(_LEFT_OUT):
                yield found.name


def _errors(kind: type[CityzonesError] = CityzonesError) -> Iterator[type[CityzonesError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _errors(child)


def test_every_error_of_every_room_below_has_a_row() -> None:
    for name in _modules():
        importlib.import_module(name)
    rooms = ("jobs.", "models.", "service.")
    missing = {e.code for e in _errors() if e.__module__.startswith(rooms) and e.code not in problems.PROBLEMS}
    assert not missing


def test_every_row_stands_for_an_error_status() -> None:
    assert all(400 <= row.status < 600 and row.title and row.advice for row in problems.PROBLEMS.values())
    assert set(problems.BY_STATUS.values()) <= set(problems.PROBLEMS)
    assert all(problems.row(code).status == status for status, code in problems.BY_STATUS.items() if status != 422)


def test_the_page_of_errors_is_current() -> None:
    page = ROOT / "docs" / "errors.md"
    assert page.read_text(encoding="utf-8") == problems.as_markdown(), (
        "run: python -m jobs.public.problems > docs/errors.md"
    )


def test_types_are_the_standards_where_it_has_them() -> None:
    assert problems.type_uri("unknown-job", "http://x/").endswith("/ogcapi-processes-1/1.0/no-such-job")
    assert problems.type_uri("invalid-area", "http://x/") == "http://x/problems/invalid-area"
    assert problems.type_uri("never heard of", "http://x") == "http://x/problems/internal"


def test_a_body_points_at_faults() -> None:
    made = problems.body(
        "invalid-request", "two faults", public_url="http://x", instance="/y", faults=[Fault("/inputs/aoi", "empty")]
    )
    assert made["status"] == 422
    assert made["errors"] == [{"pointer": "/inputs/aoi", "detail": "empty"}]
    assert "reference" not in made


@pytest.mark.parametrize(("status", "code"), [(404, "not-found"), (418, "malformed-request"), (502, "internal")])
def test_bare_statuses_find_a_code(status: int, code: str) -> None:
    assert problems.code_of_status(status) == code
