"""`cityzones keys`: what it makes and shows, and mistakes told plainly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli import app


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CITYZONES_STORAGE_URL", f"file://{tmp_path}/store")
    return tmp_path / "store"


def keys(*words: str) -> Result:
    return CliRunner().invoke(app, ["keys", *words], env={"COLUMNS": "200"})


def test_a_key_is_printed_once_and_alone() -> None:
    made = keys("create", "--tenant", "acme", "--scope", "submit", "--scope", "read", "--name", "web", "--days", "3")
    assert made.exit_code == 0
    text = made.stdout.strip()
    assert (text.count("\n"), text[:3], len(text)) == (0, "cz_", 73)
    shown = json.loads(keys("list", "--json").stdout)["keys"]
    assert [(key["tenant"], key["name"], key["scopes"]) for key in shown] == [("acme", "web", ["read", "submit"])]
    assert "sha256" not in shown[0]
    table = keys("list", "--tenant", "acme").output
    assert text.split("_")[1] in table
    assert "good" in table


def test_limits_are_set_one_by_one() -> None:
    keys("limits", "acme", "--running-jobs", "3", "--upload-gib", "1.5")
    told = json.loads(keys("limits", "acme", "--km2-per-month", "0", "--json").stdout)["limits"]
    assert (told["running_jobs"], told["upload_bytes"], told["km2_per_month"]) == (3, 1610612736, 0)
    assert "1,610,612,736" in keys("limits", "acme").output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("create", "--tenant", "Acme", "--scope", "read"), "no tenant"),
        (("create", "--tenant", "public", "--scope", "read"), "open mode"),
        (("create", "--tenant", "acme", "--scope", "root"), "no scope"),
        (("create", "--tenant", "acme", "--scope", "read", "--days", "0"), "--days"),
        (("revoke", "nothing"), "no such key"),
        (("rotate", "../x"), "no such key"),
        (("limits", "../acme", "--running-jobs", "1"), "no tenant"),
        (("limits", "acme", "--running-jobs", "-1"), "--running-jobs"),
    ],
)
def test_mistakes_are_told_plainly(words: tuple[str, ...], says: str) -> None:
    done = keys(*words)
    assert done.exit_code != 0
    assert says in done.output
    assert "Traceback" not in done.output
