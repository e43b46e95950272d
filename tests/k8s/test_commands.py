"""What pods are started with, and what runbooks tell to run, are commands that exist, with options that exist."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from celery.bin.celery import celery
from click.testing import CliRunner
from typer.main import get_command

from service.cli import app
from tests.k8s.cluster import MANIFESTS, Thing, render, variables


def _refused(words: list[str]) -> str:
    """Return why a command line is not understood, or nothing: its help is asked for, after its options were read."""
    program, *rest = words
    if program == "celery":
        assert rest[0] == "-A"
        assert find_spec(rest[1])
        done = CliRunner().invoke(celery, [*rest[2:], "--help"])
    else:
        done = CliRunner().invoke(get_command(app), [*rest, "--help"])
    return "" if done.exit_code == 0 else done.output


def _words(container: Thing) -> list[str]:
    """Return the words of a container's command, with Kubernetes' variables filled in."""
    told = variables(container)
    return [re.sub(r"\$\((\w+)\)", lambda found: told[found[1]], word) for word in container.get("args", [""])]


def _commands() -> dict[str, list[str]]:
    found = {f"{pod.name}-{c['name']}": _words(c) for pod in render("prod-gpu").pods() for c in pod.containers}
    return {name: words for name, words in found.items() if words[0] in {"celery", "cityzones"}}


def test_pods_start() -> None:
    commands = _commands()
    assert len(commands) > 8
    assert {name: told for name, words in commands.items() if (told := _refused(words))} == {}


@pytest.mark.parametrize(
    "words",
    [
        ["celery", "-A", "worker.tasks", "worker", "--without-mingling"],
        ["celery", "-A", "worker.tasks", "beats"],
        ["cityzones", "models", "publish"],
        ["cityzones", "models", "list", "--serve", "8090"],
    ],
)
def test_misspelt_commands_are_found(words: list[str]) -> None:
    assert _refused(words)


def test_told_commands_exist() -> None:
    files: list[Path] = [*MANIFESTS.rglob("*.yaml"), *MANIFESTS.rglob("*.md")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    told = {tuple(words.split()) for words in re.findall(r"(?:`|-- )cityzones ((?:[a-z][a-z-]+ ?)+)", text)}
    assert len(told) > 2
    assert {words for words in told if _refused(["cityzones", *words])} == set()
