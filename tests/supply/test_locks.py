from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from supply.locks import ROOT, faults_of, locks, pins, pins_of

DIGEST = "--hash=sha256:" + "a" * 64


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that locks are made of, to be damaged."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "web").mkdir()
    for name in ("pyproject.toml", "web/package.json", "web/package-lock.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_locks_are_whole() -> None:
    assert faults_of() == []
    assert {"main", "dev", "triton", "node"} <= set(locks())
    assert pins("main")["bentoml"].version.public == "1.4.39"


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("a==1", "no SHA-256"),
        (f"a>=1 {DIGEST}", "not pinned"),
        (f"a==1.* {DIGEST}", "not pinned"),
        (f"a==1,!=2 {DIGEST}", "not pinned"),
        (f"a {DIGEST}", "not pinned"),
        (f"a @ https://example.org/a-1.whl {DIGEST}", "not pinned"),
        ("a @ git+https://example.org/a@v1", "not pinned"),
        ("-e ./a", "no requirement"),
        ("--extra-index-url https://example.org/simple", "no requirement"),
        ("https://example.org/a-1.whl", "no requirement"),
        (f"a==1 --hash=md5:{'a' * 32}", "no requirement"),
    ],
)
def test_what_is_no_hashed_pin_of_the_index_is_told(entry: str, fault: str) -> None:
    found, faults = pins_of(f"b==2 \\\n    {DIGEST}\n{entry}\n")
    assert [pin.name for pin in found] == ["b"]
    assert [told.split(":")[0].startswith(fault) for told in faults] == [True], faults


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        (
            "pyproject.toml",
            '"celery>=5.7,<6"',
            '"celery>=6"',
            "asks for celery>=6, and the lock has 5.7",
        ),
        ("pyproject.toml", '"httptools"', '"a-new-one"', "asks for a-new-one, which the lock lacks"),
        ("pyproject.toml", '"ruff>=0.9"', '"ruff>=99"', "the group dev of pyproject.toml asks for ruff>=99"),
        ("requirements/dev.in", "tuspy>=1.1", "tuspy>=99", "requirements/dev.in asks for tuspy>=99"),
        ("requirements/triton.in", "openvino==2026.4.1", "openvino==1", "requirements/triton.in asks for openvino==1"),
        ("requirements/dev.txt", "\nattrs==", "\nattrs==0.", "requirements/dev.txt has attrs 0."),
        ("requirements/main.txt", "\nattrs==", f"\nattrs==1 {DIGEST}\nattrs==", "main.txt: a name is pinned twice"),
        ("web/package.json", '"preact": "11.2.0"', '"preact": "11.2.1"', "asks for preact 11.2.1"),
        ("web/package.json", '"preact": "11.2.0"', '"preact": "^11.2.0"', "asks for preact ^11.2.0"),
    ],
)
def test_a_lock_that_differs_from_what_asks_for_it_is_told(
    copy: Path, file: str, old: str, new: str, fault: str
) -> None:
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1))
    assert [told for told in faults_of(copy) if fault in told], faults_of(copy)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"integrity": ""}, "has no SHA-512"),
        ({"integrity": "sha1-" + "a" * 27 + "="}, "has no SHA-512"),
        ({"resolved": "git+ssh://example.org/preact"}, "an address of its own"),
        ({"link": True}, "an address of its own"),
    ],
)
def test_a_package_of_the_web_page_is_of_the_registry_and_hashed(
    copy: Path, change: dict[str, object], fault: str
) -> None:
    path = copy / "web/package-lock.json"
    lock = json.loads(path.read_text())
    lock["packages"]["node_modules/preact"] |= change
    path.write_text(json.dumps(lock))
    assert [fault in told for told in faults_of(copy)] == [True]
