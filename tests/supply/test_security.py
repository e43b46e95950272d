from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from jobs.settings import Settings
from supply.locks import ROOT

PAGE = (ROOT / "SECURITY.md").read_text()
CODE = re.compile(r"`([^`]+)`")
THREATS = "## Threats"


def rows(page: str) -> list[list[str]]:
    """The rows of every table of threats: threat, control, test."""
    told = page.partition(THREATS)[2]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in told.splitlines() if line[:1] == "|"]
    return [row for row in cells if row[0] not in {"threat", "-"}]


@cache
def functions(path: Path) -> frozenset[str]:
    return frozenset(node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))


def faults(page: str) -> list[str]:
    """What SECURITY.md says and does not hold."""
    found = []
    for threat, control, tests in (row if len(row) == 3 else [row[0], "", ""] for row in rows(page)):
        modules = [told for told in CODE.findall(control) if told.endswith((".py", ".yaml"))]
        named = CODE.findall(tests)
        found += [f"{threat}: no {what}" for what, there in (("module", modules), ("test", named)) if not there]
        found += [f"{threat}: {module} is not there" for module in modules if not (ROOT / module).is_file()]
        for test in named:
            path, _, name = test.partition("::")
            if not (ROOT / path).is_file() or not name.startswith("test_") or name not in functions(ROOT / path):
                found.append(f"{threat}: {test} is not there")
    return found + names(page, ROOT)


def names(page: str, folder: Path) -> list[str]:
    """What a page names and is not there: settings, and files that it links to from its folder."""
    settings = {f"CITYZONES_{name.upper()}" for name in Settings.model_fields}
    found = [f"{each} is no setting" for each in re.findall(r"CITYZONES_[A-Z_0-9]+", page) if each not in settings]
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page) if "://" not in link]
    return found + [f"{link} is not there" for link in links if not (folder / link).is_file()]


def test_every_threat_has_a_control_and_a_test_that_are_there() -> None:
    assert faults(PAGE) == []
    assert len(rows(PAGE)) >= 40


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("`jobs/keys.py`", "`jobs/locks.py`", "jobs/locks.py is not there"),
        ("::test_scopes_are_kept", "::test_scopes_are_lost", "test_scopes_are_lost` is not there"),
        ("tests/fuzz/test_files.py::", "tests/fuzz/test_gone.py::", "test_gone.py::test_disguises is not there"),
        ("`tests/integration/api/test_access.py::test_scopes_are_kept`", "we looked", "no test"),
        ("; `service/events.py`", "", "no module"),
        ("CITYZONES_MAX_PIXELS", "CITYZONES_MOST_PIXELS", "CITYZONES_MOST_PIXELS is no setting"),
        ("docs/limits.md", "docs/borders.md", "docs/borders.md is not there"),
        ("::test_scopes_are_kept", "::settings", "settings is not there"),
    ],
)
def test_what_is_not_there_is_told(old: str, new: str, fault: str) -> None:
    assert old in PAGE
    assert [told for told in faults(PAGE.replace(old, new)) if fault.replace("`", "") in told]


def test_pages_for_operators_name_what_is_there() -> None:
    pages = [ROOT / "docs/operations.md", *sorted((ROOT / "docs/operations").glob("*.md"))]
    assert len(pages) == 6
    assert {page.name: names(page.read_text(), page.parent) for page in pages} == {page.name: [] for page in pages}
    assert names("[a](gone.md) `CITYZONES_GONE`", ROOT) == ["CITYZONES_GONE is no setting", "gone.md is not there"]
